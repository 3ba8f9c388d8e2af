// Writes without pause through a client that follows the leader by itself, until SIGTERM, and then
// says as JSON what was acknowledged and which pauses there were. Only the addresses are
// given to the clients; all else is as it comes.
//
//     failover.js ioredis|node-redis cluster|sentinel PORT...
//
// A line on standard output per 25 acknowledged writes.
'use strict';

const Redis = require('ioredis');
const { createCluster, createSentinel } = require('redis');

const [library, kind, ...ports] = process.argv.slice(2);
const PAUSE_MS = 1; // between writes: the servers have other clients to serve
const NOTED_MS = 30; // a pause worth telling
// An application asks again when it has heard nothing for so long, and makes node-redis anew: its
// cluster client looks for another leader only when a node says MOVED, never when one is gone (its
// issue 2806), and so waits until the dead node is back.
const ATTEMPT_MS = 500;
const NO_ANSWER = 'no answer';
const label = `${library}-${kind}`;

const places = ports.map((port) => ({ host: '127.0.0.1', port: Number(port) }));

async function connect() {
  if (library === 'ioredis') {
    const client = kind === 'cluster'
      ? new Redis.Cluster(places)
      : new Redis({ sentinels: places, name: 'mymaster' });
    client.on('error', () => {}); // it reports by the promises too
    return client;
  }
  const client = kind === 'cluster'
    ? createCluster({ rootNodes: places.map((socket) => ({ socket })) })
    : createSentinel({ name: 'mymaster', sentinelRootNodes: places });
  client.on('error', () => {});
  await client.connect();
  return client;
}

const sleep = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

function bounded(promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(NO_ANSWER)), ATTEMPT_MS);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

const said = { label, acknowledged: 0, failed: 0, errors: {}, gaps: [] };
let stopping = false;

async function renew(client) {
  try {
    const fresh = await connect();
    client.destroy();
    return fresh;
  } catch (error) {
    return client;
  }
}

async function write(first) {
  let client = first;
  let before = Date.now();
  while (!stopping) {
    const value = said.acknowledged + 1;
    const key = `${label}:${value}`;
    try {
      await bounded(client.set(key, String(value)));
    } catch (error) {
      said.failed += 1;
      const words = String(error.message).slice(0, 50);
      said.errors[words] = (said.errors[words] || 0) + 1;
      await sleep(2);
      if (library === 'node-redis' && error.message === NO_ANSWER) {
        client = await renew(client);
      }
      continue;
    }
    const now = Date.now();
    if (now - before >= NOTED_MS) {
      said.gaps.push([before, now - before]);
    }
    before = now;
    said.acknowledged = value;
    if (value % 25 === 0) {
      console.log('.');
    }
    await sleep(PAUSE_MS);
  }
  console.log(JSON.stringify(said));
  process.exit(0);
}

process.on('SIGTERM', () => { stopping = true; });
process.on('unhandledRejection', () => {}); // an attempt that was given up may fail later
connect().then(write, (error) => {
  console.error(`# ${label} does not connect: ${error.stack}`);
  process.exit(1);
});
