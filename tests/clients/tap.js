// A few lines of TAP for the client tests: each check is a function that throws when it fails.
'use strict';

const CHECK_MS_MAX = 20000;

function bounded(promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no end after ${CHECK_MS_MAX} ms`)), CHECK_MS_MAX);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

// `checks` is a list of [name, async function]; they run in order.
async function run(checks) {
  console.log(`1..${checks.length}`);
  let failed = 0;
  let number = 0;
  for (const [name, check] of checks) {
    number += 1;
    try {
      await bounded(check());
      console.log(`ok ${number} - ${name}`);
    } catch (error) {
      failed += 1;
      console.log(`not ok ${number} - ${name}`);
      console.log(String(error.stack).replace(/^/gm, '# '));
    }
  }
  process.exit(failed === 0 ? 0 : 1);
}

module.exports = { run };
