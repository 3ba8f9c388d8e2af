// node-redis without options but the address; the arguments are the ports of the nodes.
'use strict';

const assert = require('node:assert/strict');
const { createClient } = require('redis');
const { run } = require('./tap');

const ports = process.argv.slice(2).map(Number);

function checksOf(port, which, version) {
  const name = `${which}, RESP${version}`;
  const url = `redis://127.0.0.1:${port}`;
  const client = version === 2 ? createClient({ url }) : createClient({ url, RESP: version });
  client.on('error', () => {}); // it reports by the promises too
  const key = (rest) => `node-redis:${which}:${version}:${rest}`;
  return [
    [`${name}: connects`, async () => {
      await client.connect();
      assert.equal(await client.ping(), 'PONG');
      assert.ok(client.isReady);
    }],
    [`${name}: strings and expiry`, async () => {
      assert.equal(await client.set(key('a'), 'ünï', { EX: 100 }), 'OK');
      assert.equal(await client.get(key('a')), 'ünï');
      assert.equal(await client.get(key('none')), null);
      const ttl = await client.ttl(key('a'));
      assert.ok(ttl > 90 && ttl <= 100);
      assert.equal(await client.persist(key('a')), 1);
      assert.equal(await client.append(key('a'), '!'), 6);
      assert.equal(await client.getDel(key('a')), 'ünï!');
    }],
    [`${name}: calls of one tick are a pipeline`, async () => {
      const calls = Array.from({ length: 1000 }, () => client.incr(key('counter')));
      assert.deepEqual(await Promise.all(calls), Array.from({ length: 1000 }, (_, i) => i + 1));
    }],
    [`${name}: several keys`, async () => {
      await client.mSet({ [key('x')]: '1', [key('y')]: '2' });
      assert.deepEqual(await client.mGet([key('x'), key('z'), key('y')]), ['1', null, '2']);
      assert.equal(await client.exists([key('x'), key('y'), key('z')]), 2);
      assert.equal(await client.incrByFloat(key('x'), 0.5), '1.5');
    }],
    [`${name}: scanIterator finds every key`, async () => {
      const found = new Set();
      for await (const keys of client.scanIterator({ MATCH: key('*'), COUNT: 10 })) {
        keys.forEach((one) => found.add(one));
      }
      assert.deepEqual([...found].sort(), [key('counter'), key('x'), key('y')]);
    }],
    [`${name}: errors are errors`, async () => {
      await client.set(key('x'), 'word');
      await assert.rejects(client.incr(key('x')), /ERR value is not an integer/);
      await assert.rejects(client.sendCommand(['NOSUCH']), /ERR unknown command/);
      assert.equal(await client.del([key('x'), key('y'), key('counter')]), 3);
    }],
    [`${name}: closes`, async () => {
      await client.close();
      assert.ok(!client.isOpen);
    }],
  ];
}

run(ports.flatMap((port, i) => [2, 3].flatMap((v) => checksOf(port, `node ${i + 1}`, v))));
