// BullMQ on one server: its queue is Lua scripts over streams, sorted sets, lists and hashes.  Its argument: the port.
import assert from 'node:assert/strict';
import { FlowProducer, Queue, QueueEvents, Worker } from 'bullmq';

const connection = { host: '127.0.0.1', port: Number(process.argv[2]), maxRetriesPerRequest: null };
const queue = new Queue('work', { connection });
const events = new QueueEvents('work', { connection });
await events.waitUntilReady();

const order = [];
const tries = new Map();
const worker = new Worker('work', async (job) => {
  order.push(job.name);
  if (job.name === 'fails-twice') {
    tries.set(job.id, (tries.get(job.id) ?? 0) + 1);
    if (tries.get(job.id) < 3) throw new Error('not yet');
  }
  await job.updateProgress(50);
  return { doubled: job.data.n * 2 };
}, { connection, autorun: false });

// priorities decide the order, a delay and repeated tries come later
await queue.add('low', { n: 1 }, { priority: 10 });
await queue.add('high', { n: 2 }, { priority: 1 });
const delayed = await queue.add('delayed', { n: 3 }, { delay: 300 });
const failing = await queue.add('fails-twice', { n: 4 }, { attempts: 3, backoff: 20 });
const many = await queue.addBulk(Array.from({ length: 200 }, (_, n) => ({ name: 'bulk', data: { n } })));
assert.deepEqual(await queue.getJobCounts('waiting', 'prioritized', 'delayed'),
  { waiting: 201, prioritized: 2, delayed: 1, paused: 0 });
worker.run();
assert.deepEqual(await delayed.waitUntilFinished(events, 10000), { doubled: 6 });
assert.deepEqual(await failing.waitUntilFinished(events, 10000), { doubled: 8 });
for (const job of many) assert.deepEqual(await job.waitUntilFinished(events, 10000), { doubled: job.data.n * 2 });
assert.ok(order.indexOf('high') < order.indexOf('low'));
assert.equal(tries.get(failing.id), 3);

// a parent waits for its children
const flow = new FlowProducer({ connection });
const tree = await flow.add({ name: 'parent', queueName: 'work', data: { n: 10 },
  children: [{ name: 'child', queueName: 'work', data: { n: 11 } }, { name: 'child', queueName: 'work', data: { n: 12 } }] });
assert.deepEqual(await tree.job.waitUntilFinished(events, 10000), { doubled: 20 });
assert.deepEqual(Object.values(await tree.job.getChildrenValues()).map((v) => v.doubled).sort(), [22, 24]);

await queue.pause();
assert.equal(await queue.isPaused(), true);
await queue.obliterate({ force: true });
assert.equal(await queue.getJobCountByTypes('waiting', 'completed', 'failed', 'delayed'), 0);
for (const thing of [worker, events, flow, queue]) await thing.close();
console.log('good');
