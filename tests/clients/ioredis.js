// ioredis without options but the port; the arguments are the ports of the nodes.
'use strict';

const assert = require('node:assert/strict');
const Redis = require('ioredis');
const { run } = require('./tap');

const ports = process.argv.slice(2).map(Number);

function checksOf(port, which) {
  const redis = new Redis(port);
  redis.on('error', () => {}); // it reports by the promises too
  const key = (name) => `ioredis:${which}:${name}`;
  return [
    [`${which}: connects and is ready`, async () => {
      assert.equal(await redis.ping(), 'PONG');
      assert.equal(redis.status, 'ready');
    }],
    [`${which}: strings and bytes`, async () => {
      const bytes = Buffer.from([0, 13, 10, 255, 36]);
      assert.equal(await redis.set(key('bytes'), bytes), 'OK');
      assert.deepEqual(await redis.getBuffer(key('bytes')), bytes);
      assert.equal(await redis.get(key('none')), null);
      assert.equal(await redis.set(key('once'), 'a', 'PX', 60000, 'NX'), 'OK');
      assert.equal(await redis.set(key('once'), 'b', 'NX'), null);
      assert.ok(await redis.pttl(key('once')) > 50000);
    }],
    [`${which}: a pipeline keeps its order`, async () => {
      const pipeline = redis.pipeline();
      for (let i = 0; i < 1000; i++) {
        pipeline.incr(key('counter'));
      }
      const results = await pipeline.exec();
      assert.deepEqual(results.map((r) => r[1]), Array.from({ length: 1000 }, (_, i) => i + 1));
    }],
    [`${which}: many calls at once`, async () => {
      await Promise.all(Array.from({ length: 200 }, (_, i) => redis.set(key(`many:${i}`), i)));
      const keys = Array.from({ length: 200 }, (_, i) => key(`many:${i}`));
      assert.deepEqual(await redis.mget(keys), keys.map((_, i) => String(i)));
    }],
    [`${which}: scanStream finds every key`, async () => {
      const found = new Set();
      for await (const keys of redis.scanStream({ match: key('many:*'), count: 10 })) {
        keys.forEach((name) => found.add(name));
      }
      assert.equal(found.size, 200);
    }],
    [`${which}: errors are errors`, async () => {
      await assert.rejects(redis.incr(key('bytes')), /ERR value is not an integer/);
      await assert.rejects(redis.call('NOSUCH'), /ERR unknown command/);
      assert.equal(await redis.ping(), 'PONG');
    }],
    [`${which}: another database`, async () => {
      const other = new Redis(port, { db: 3, connectionName: 'somebody' });
      await other.set(key('here'), '3');
      assert.equal(await redis.exists(key('here')), 0);
      assert.match(await other.client('LIST'), /name=somebody/);
      await other.del(key('here'));
      await other.quit();
    }],
    [`${which}: info and quit`, async () => {
      assert.match(await redis.info(), /redis_version:7/);
      assert.equal(await redis.quit(), 'OK');
    }],
  ];
}

run(ports.flatMap((port, i) => checksOf(port, `node ${i + 1}`)));
