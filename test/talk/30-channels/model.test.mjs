// A model by seed: random publishes, subscribers over all transports that come, go and come back,
// ends and kills of the server. Every subscriber sees each message of its channels once and in
// order, or is told of a gap; of durable channels nothing is ever missing.
//
// WEIR_SEED=n runs one seed again; WEIR_TEST_LONG=1 runs more.
import assert from 'node:assert/strict';
import http from 'node:http';
import { test } from 'node:test';
import WebSocket from 'ws';
import { long, request, serve, until, within } from '../harness.mjs';

const base = '/api/v1';
const steps = long ? 120 : 40;
const durable = ['d/1', 'd/2'];
const names = [...durable, 'p/1', 'p/2'];

/** Numbers from 0 to below n, the same for the same seed (mulberry32). */
function random(seed) {
  let state = seed >>> 0;
  return (n) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) % n;
  };
}

const number = (id) => BigInt(id.slice(1));
const matches = (pattern, name) => pattern === '#' || pattern === name ||
  (pattern.endsWith('/+') && name.startsWith(pattern.slice(0, -1)));

class Subscriber {
  constructor(world, transport, patterns) {
    Object.assign(this, { world, transport, patterns, cursor: world.start, seen: [], gap: null });
    this.running = this.run();
  }

  get path() {
    const channels = this.patterns.map((name) => `channel=${encodeURIComponent(name)}`).join('&');
    return `${base}/subscribe?${channels}`;
  }

  take(message) {
    this.seen.push({ ...message, gap: this.gap });
    this.gap = null;
    this.cursor = message.id;
  }

  /** What is missing is from before the last restart. */
  gapped() {
    this.gap = this.world.lost;
  }

  /** Once, until it is interrupted or fails. */
  async poll(mode, agent = false) {
    const answer = await request(this.world.server.port, 'GET',
      `${this.path}&since=${this.cursor}${mode}`, { key: this.world.server.key, agent });
    if (answer.status !== 200) throw new Error(`status ${answer.status}`);
    const { messages, next, gap } = answer.json();
    if (gap) this.gapped();
    for (const message of messages) this.take(message);
    this.cursor = next;
    this.polled = messages.length === 0;
    if (!agent) await new Promise((wake) => setTimeout(wake, 5));
  }

  /** One after the other on one connection, at once or after a while, until it is cut. */
  async again() {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    let cut = false;
    this.cut = () => {
      cut = true;
      agent.destroy();
    };
    try {
      while (!cut && !this.world.over) {
        await this.poll('&mode=longpoll&timeout=1', agent);
        if (this.seen.length % 3 === 0) await new Promise((wake) => setTimeout(wake, 4));
      }
    } finally {
      agent.destroy();
    }
  }

  sse() {
    return new Promise((done, fail) => {
      const out = http.get({ host: '127.0.0.1', port: this.world.server.port, path: this.path,
        agent: false, headers: { accept: 'text/event-stream', 'last-event-id': this.cursor,
          authorization: `Bearer ${this.world.server.key}` } }, (answer) => {
        let rest = '';
        if (answer.statusCode !== 200) fail(new Error(`status ${answer.statusCode}`));
        answer.setEncoding('utf8');
        answer.on('data', (part) => {
          const blocks = (rest + part).split('\n\n');
          rest = blocks.pop();
          for (const block of blocks) {
            const data = /^data: ?(.*)$/m.exec(block);
            if (/^event: ?gap$/m.test(block)) this.gapped();
            else if (data) this.take(JSON.parse(data[1]));
          }
        });
        answer.on('error', fail);
        answer.on('close', done);
      });
      out.on('error', fail);
      this.cut = () => out.destroy();
    });
  }

  socket() {
    return new Promise((done, fail) => {
      const socket = new WebSocket(
        `ws://127.0.0.1:${this.world.server.port}${this.path}&since=${this.cursor}`,
        { headers: { authorization: `Bearer ${this.world.server.key}` } });
      let cut = false; // what comes after the cut is as if lost on the way
      socket.on('message', (bytes) => {
        const frame = JSON.parse(bytes);
        if (cut) return;
        if (frame.gap) this.gapped();
        else if (frame.id) this.take(frame);
      });
      socket.on('error', fail);
      socket.on('close', done);
      this.cut = () => {
        cut = true;
        socket.terminate();
      };
    });
  }

  async run() {
    while (!this.world.over) {
      if (!this.world.up) {
        await new Promise((wake) => setTimeout(wake, 10));
        continue;
      }
      try {
        if (this.transport === 'poll') await this.poll('');
        else if (this.transport === 'longpoll') await this.poll('&mode=longpoll&timeout=1');
        else if (this.transport === 'again') await this.again();
        else if (this.transport === 'sse') await this.sse();
        else await this.socket();
      } catch {
        await new Promise((wake) => setTimeout(wake, 10)); // the server went, or it was cut
      }
    }
  }

  /** The last look, over whatever transport: everything up to now. */
  async finish() {
    await this.running;
    do await this.poll(''); while (!this.polled);
  }
}

class World {
  constructor(server, seed) {
    Object.assign(this, { server, draw: random(seed), up: true, over: false, published: [],
      sending: new Set(), restarts: 0, lost: 0n });
  }

  pick(list) {
    return list[this.draw(list.length)];
  }

  /** Until it is acknowledged: its key makes it one, also over a kill where it is durable. */
  async send(message) {
    for (;;) {
      await until(() => this.up, 'the server to be back', 60_000);
      try {
        const answer = await this.server.post(`${base}/publish`,
          { channels: message.channels, data: message.data, key: `k${message.data}` });
        if (answer.status === 201) {
          message.id = answer.json().id;
          return;
        }
      } catch { /* it was killed meanwhile */ }
      message.doubtful = true;
    }
  }

  publish() {
    for (let left = 1 + this.draw(6); left > 0; left--) {
      const channels = names.filter(() => this.draw(3) === 0);
      if (!channels.length) channels.push(this.pick(names));
      const message = { data: this.published.length, channels };
      this.published.push(message);
      const sent = this.send(message).finally(() => this.sending.delete(sent));
      this.sending.add(sent);
    }
  }

  /** An id above all before. */
  async mark() {
    return (await this.server.post(`${base}/publish`, { channels: ['mark'], data: -1 })).json().id;
  }

  async restart() {
    this.up = false;
    this.restarts++;
    if (this.draw(2)) await this.server.kill9();
    else await this.server.stop();
    await this.server.again();
    this.lost = number(await this.mark());
    this.up = true;
  }
}

/** What one saw against what there was. */
function judge(world, subscriber, who) {
  const { patterns, seen } = subscriber;
  const mine = world.published
    .map((message) => ({ ...message,
      channels: message.channels.filter((name) => patterns.some((one) => matches(one, name))) }))
    .filter(({ channels }) => channels.length)
    .sort((a, b) => (number(a.id) < number(b.id) ? -1 : 1));
  const kept = patterns.every((pattern) => durable.includes(pattern));
  const known = new Set(mine.map(({ id }) => id));
  let last = number(world.start), at = 0, excused = 0n;
  for (const message of [...seen, { gap: subscriber.gap }]) {
    const id = message.id ? number(message.id) : null;
    assert.ok(message.gap === null || (!kept && world.restarts),
      `${who}: a gap where nothing was lost`);
    if (message.gap !== null) excused = message.gap;
    assert.ok(id === null || id > last, `${who}: ${message.id} after m${last}`);
    for (; at < mine.length && (id === null || number(mine[at].id) < id); at++)
      assert.ok(number(mine[at].id) <= excused,
        `${who}: ${mine[at].id} missing before ${message.id ?? 'the end'}`);
    if (id === null) break;
    const { channels, doubtful, ...sent } = world.published[message.data] ?? {};
    if (message.data === -1) continue; // a mark, seen by #
    assert.ok(sent.data === message.data, `${who}: nobody sent ${message.id}: ${message.data}`);
    last = id;
    if (!known.has(message.id)) {
      // It was heard, the server was killed, and it was sent again.
      assert.ok(doubtful && !channels.some((name) => durable.includes(name)),
        `${who}: ${message.id} is not the id of ${message.data}, ${sent.id}`);
      continue;
    }
    // After a restart a message is what its durable channels remember of it.
    const may = mine[at++].channels;
    const must = may.filter((name) => !world.restarts || durable.includes(name));
    assert.ok(message.channels.every((name) => may.includes(name)) &&
      must.every((name) => message.channels.includes(name)), `${who}: ${message.channels}`);
  }
}

async function run(t, seed) {
  const server = await serve(t);
  const world = new World(server, seed);
  for (const name of names) {
    const answer = await server.post(`${base}/channels`, { name, durable: durable.includes(name) });
    assert.equal(answer.status, 201, answer.text);
  }
  world.start = await world.mark();
  const subscribers = [];
  for (const transport of ['poll', 'longpoll', 'again', 'sse', 'socket'])
    for (const patterns of [durable, [world.pick(names)], [world.pick(['d/+', '#', 'p/+']), 'p/1']])
      subscribers.push(new Subscriber(world, transport, patterns));
  for (let step = 0; step < steps; step++) {
    const what = world.draw(20);
    if (what < 12) world.publish();
    else if (what < 17) world.pick(subscribers).cut?.();
    else if (what < 18) await world.restart();
    else await Promise.all(world.sending);
    if (world.draw(2)) await new Promise((wake) => setTimeout(wake, world.draw(10)));
  }
  await within(Promise.all(world.sending), 'what was sent', 60_000);
  world.over = true;
  for (const subscriber of subscribers) subscriber.cut?.();
  for (const [i, subscriber] of subscribers.entries()) {
    await within(subscriber.finish(), 'a subscriber', 60_000);
    judge(world, subscriber, `seed ${seed}, ${i}: ${subscriber.transport} ${subscriber.patterns}`);
  }
  t.diagnostic(`seed ${seed}: ${world.published.length} messages, ${world.restarts} restarts`);
}

const first = Number(process.env.WEIR_SEED ?? 0);
const seeds = first ? [first] : Array.from({ length: long ? 20 : 4 }, (_, i) => i + 1);
for (const seed of seeds) test(`each message once, in order, or a gap: seed ${seed}`, (t) => run(t, seed));
