// ioredis and node-redis as clients of a Redis Cluster and of sentinels, with nothing but the
// addresses; the arguments are the plain ports of the nodes, the others lie 100 and 200 higher.
'use strict';

const assert = require('node:assert/strict');
const Redis = require('ioredis');
const { createCluster, createSentinel } = require('redis');
const { run } = require('./tap');

const plain = process.argv.slice(2).map(Number);
const at = (more) => plain.map((port) => ({ host: '127.0.0.1', port: port + more }));

const cluster = new Redis.Cluster(at(100));
const replicas = new Redis.Cluster(at(100), { scaleReads: 'all' });
const sentinel = new Redis({ sentinels: at(200), name: 'mymaster' });
const nodeCluster = createCluster({ rootNodes: at(100).map((socket) => ({ socket })) });
const nodeReplicas = createCluster({
  rootNodes: at(100).map((socket) => ({ socket })), useReplicas: true, RESP: 3,
});
const nodeSentinel = createSentinel({ name: 'mymaster', sentinelRootNodes: at(200) });
for (const client of [cluster, replicas, sentinel, nodeCluster, nodeReplicas, nodeSentinel]) {
  client.on('error', () => {}); // they report by the promises too
}

const NUMBERS = Array.from({ length: 100 }, (_, i) => i);

run([
  ['ioredis cluster: sees all nodes, one master', async () => {
    assert.equal(await cluster.set('followers:a', '1'), 'OK');
    assert.equal(cluster.nodes('master').length, 1);
    assert.equal(cluster.nodes('slave').length, plain.length - 1);
  }],
  ['ioredis cluster: keys of all slots, pipelines, tags', async () => {
    await Promise.all(NUMBERS.map((i) => cluster.set(`followers:${i}`, i)));
    const pipeline = cluster.pipeline();
    NUMBERS.forEach((i) => pipeline.get(`{followers}:${i}`));
    assert.deepEqual((await pipeline.exec()).map((r) => r[1]), NUMBERS.map(() => null));
    assert.equal(await cluster.mset('{t}a', 1, '{t}b', 2), 'OK');
    assert.deepEqual(await cluster.mget('{t}a', '{t}b'), ['1', '2']);
    await assert.rejects(cluster.mget('a', 'b'), /CROSSSLOT/);
  }],
  ['ioredis cluster: reads from replicas are good', async () => {
    const reads = NUMBERS.map((i) => replicas.get(`followers:${i}`));
    assert.deepEqual(await Promise.all(reads), NUMBERS.map(String));
  }],
  ['ioredis sentinel: finds the leader', async () => {
    assert.equal(await sentinel.get('followers:a'), '1');
    assert.equal((await sentinel.role())[0], 'master');
  }],
  ['node-redis cluster: keys of all slots', async () => {
    await nodeCluster.connect();
    const reads = NUMBERS.map((i) => nodeCluster.get(`followers:${i}`));
    assert.deepEqual(await Promise.all(reads), NUMBERS.map(String));
    assert.equal(nodeCluster.masters.length, 1);
    await assert.rejects(nodeCluster.mGet(['a', 'b']), /CROSSSLOT/);
  }],
  ['node-redis cluster: reads from replicas, RESP3', async () => {
    await nodeReplicas.connect();
    assert.equal(nodeReplicas.replicas.length, plain.length - 1);
    const reads = NUMBERS.map((i) => nodeReplicas.get(`followers:${i}`));
    assert.deepEqual(await Promise.all(reads), NUMBERS.map(String));
  }],
  ['node-redis sentinel: finds the leader', async () => {
    await nodeSentinel.connect();
    assert.equal(await nodeSentinel.get('followers:a'), '1');
    assert.equal(await nodeSentinel.set('followers:a', '2'), 'OK');
    assert.equal(await nodeSentinel.del('followers:a'), 1);
  }],
]);
