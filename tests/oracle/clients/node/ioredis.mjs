// ioredis on one server: pipelines, transactions, blocking calls, channels, streams, scripts.  Its argument: the port.
import assert from 'node:assert/strict';
import Redis from 'ioredis';

const port = Number(process.argv[2]);
const redis = new Redis(port);

await redis.set('k', 'v', 'EX', 100);
assert.equal(await redis.get('k'), 'v');
assert.deepEqual(await redis.multi().incr('n').hset('h', { a: 1, b: 2 }).hgetall('h').exec(),
  [[null, 1], [null, 2], [null, { a: '1', b: '2' }]]);
assert.equal((await redis.pipeline(Array.from({ length: 1000 }, (_, i) => ['rpush', 'l', i])).exec()).length, 1000);
assert.deepEqual(await redis.lrange('l', 0, 2), ['0', '1', '2']);
await assert.rejects(redis.lpush('k', 1), /WRONGTYPE/);

const other = redis.duplicate();
const waiting = other.blpop('queue', 5);
await redis.rpush('queue', 'job');
assert.deepEqual(await waiting, ['queue', 'job']);

const listener = redis.duplicate();
const got = [];
listener.on('pmessage', (pattern, channel, message) => got.push([pattern, channel, message]));
await listener.psubscribe('news.*');
await redis.publish('news.one', 'hello');
while (got.length === 0) await new Promise((done) => setTimeout(done, 5));
assert.deepEqual(got, [['news.*', 'news.one', 'hello']]);

await redis.xgroup('CREATE', 's', 'g', '$', 'MKSTREAM');
const reading = other.xreadgroup('GROUP', 'g', 'c', 'BLOCK', 5000, 'STREAMS', 's', '>');
const id = await redis.xadd('s', '*', 'field', 'value');
assert.deepEqual(await reading, [['s', [[id, ['field', 'value']]]]]);
assert.equal(await redis.xack('s', 'g', id), 1);

redis.defineCommand('add', { numberOfKeys: 1, lua: "return redis.call('INCRBY', KEYS[1], ARGV[1])" });
assert.equal(await redis.add('sum', 20), 20);
assert.equal(await redis.add('sum', 22), 42);
assert.deepEqual(await redis.geoadd('g', 13.361389, 38.115556, 'Palermo', 15.087269, 37.502669, 'Catania'), 2);
assert.equal(await redis.geodist('g', 'Palermo', 'Catania', 'km'), '166.2742');

for await (const keys of redis.scanStream({ count: 2 })) assert.ok(Array.isArray(keys));
for (const client of [redis, other, listener]) await client.quit();
console.log('good');
