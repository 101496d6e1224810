// Starts real servers and talks to them: what every file of test/talk shares.
//
// The binary is $WEIR_BIN (default build/weir). Each server has a data directory of its own, on
// port 0, and is ready when it logs `event=listening address=…`. Whatever was started is killed
// by its pid at the latest when the test's process ends.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
export const binary = resolve(root, process.env.WEIR_BIN ?? 'build/weir');
export const long = process.env.WEIR_TEST_LONG === '1';

const readyMs = 30_000;
const children = new Set();
const directories = new Set();

process.on('exit', () => {
  for (const child of children) if (child.exitCode === null) child.kill('SIGKILL');
  for (const path of directories) rmSync(path, { recursive: true, force: true });
});

export function tempDir() {
  const path = mkdtempSync(join(tmpdir(), 'weir-talk-'));
  directories.add(path);
  return path;
}

/** Waits until `look` returns something true, and returns that. */
export async function until(look, what, ms = 10_000) {
  const end = Date.now() + ms;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (Date.now() > end) throw new Error(`waited ${ms} ms in vain for ${what}`);
    await new Promise((wake) => setTimeout(wake, 10));
  }
}

/** Fails after `ms` instead of hanging. */
export async function within(promise, what, ms = 10_000) {
  let timer;
  const late = new Promise((_, fail) => {
    timer = setTimeout(() => fail(new Error(`waited ${ms} ms in vain for ${what}`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

function start(args, options = {}) {
  const child = spawn(options.binary ?? binary, args, {
    cwd: root,
    env: { ...process.env, ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  children.add(child);
  child.text = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr']) {
    child[name].setEncoding('utf8');
    child[name].on('data', (part) => (child.text[name] += part));
  }
  child.ended = new Promise((done) => {
    child.on('error', (error) => (child.text.stderr += `${error.message}\n`));
    child.on('close', (code, signal) => {
      children.delete(child);
      done({ code, signal, ...child.text });
    });
  });
  return child;
}

/** Runs a command of weir to its end: { code, signal, stdout, stderr }. */
export async function weir(args, options = {}) {
  const child = start(args, options);
  try {
    return await within(child.ended, `weir ${args.join(' ')}`, options.ms ?? 30_000);
  } finally {
    if (child.exitCode === null) child.kill('SIGKILL');
  }
}

export async function createKey(data, rights = 'read,write,publish,subscribe', more = []) {
  const name = `t${Math.random().toString(36).slice(2, 10)}`;
  const run = await weir(
    ['admin', 'key', 'create', '--data', data, '--name', name, '--rights', rights, ...more]);
  assert.equal(run.code, 0, run.stderr);
  const key = run.stdout.trim();
  assert.match(key, /^\S+$/);
  return key;
}

export class Server {
  /** options: data, args, env, key (false: none; a text: that one), command, listen (array). */
  static async start(options = {}) {
    const server = new Server();
    server.options = options;
    server.data = options.data ?? tempDir();
    server.key = options.key ?? '';
    if (options.key === undefined && options.command !== 'demo')
      server.key = await createKey(server.data);
    await server.#spawn();
    return server;
  }

  async #spawn() {
    const { options } = this;
    const listen = options.listen ?? ['http://127.0.0.1:0'];
    const args = [
      options.command ?? 'serve', '--data', this.data,
      ...listen.flatMap((address) => ['--listen', address]), ...(options.args ?? []),
    ];
    this.child = start(args, options);
    this.pid = this.child.pid;
    let ended = null;
    this.child.ended.then((how) => (ended = how));
    this.addresses = await until(() => {
      if (ended) throw new Error(`the server ended (${ended.code ?? ended.signal}): ${ended.stderr}`);
      const lines = this.log.matchAll(/"?event"?[=:]"?listening\b.*\baddress"?[=:]"?([^\s"]+)/g);
      const found = [...lines].map((m) => m[1]);
      return found.length >= listen.length && found;
    }, 'the server to listen', readyMs);
    this.url = this.addresses[0];
    this.port = Number(new URL(this.url).port);
    await until(async () => {
      if (ended) throw new Error(`the server ended (${ended.code ?? ended.signal}): ${ended.stderr}`);
      return (await this.get('/readyz', { key: false })).status === 200;
    }, 'the server to be ready', readyMs);
  }

  get log() {
    return this.child.text.stderr;
  }

  /** One request on a connection of its own: { status, headers, text, bytes, json() }. */
  request(method, path, options = {}) {
    return request(this.port, method, path, {
      ...options,
      key: options.key === undefined ? this.key : options.key,
    });
  }

  get(path, options) {
    return this.request('GET', path, options);
  }

  post(path, body, options) {
    return this.request('POST', path, { ...options, body });
  }

  /** Asks to stop, as an operator does, and expects a clean end. */
  async stop() {
    this.child.kill('SIGTERM');
    const how = await within(this.child.ended, 'the server to drain', 30_000);
    assert.equal(how.signal, null, how.stderr);
    assert.equal(how.code, 0, how.stderr);
    return how;
  }

  async kill9() {
    this.child.kill('SIGKILL');
    return within(this.child.ended, 'the server to die');
  }

  /** The same data directory again. */
  async again(args) {
    if (args) this.options = { ...this.options, args };
    await this.#spawn();
  }

  /** Sends a line at a time on a connection of its own. */
  connect() {
    return Raw.connect(this.port);
  }
}

/** Starts a server for a test and stops it, cleanly, when the test is over. */
export async function serve(test, options) {
  const server = await Server.start(options);
  test.after(async () => {
    if (server.child.exitCode === null && server.child.signalCode === null) await server.stop();
    rmSync(server.data, { recursive: true, force: true });
  });
  return server;
}

export function request(port, method, path, { headers = {}, body, key, agent = false } = {}) {
  return within(new Promise((done, fail) => {
    const all = { ...headers };
    if (key) all.authorization ??= `Bearer ${key}`;
    const payload = body === undefined || typeof body === 'string' || Buffer.isBuffer(body)
      ? body : JSON.stringify(body);
    if (payload !== undefined) all['content-length'] ??= Buffer.byteLength(payload);
    const out = http.request(
      { host: '127.0.0.1', port, method, path, headers: all, agent }, (answer) => {
        const parts = [];
        answer.on('data', (part) => parts.push(part));
        answer.on('error', fail);
        answer.on('end', () => {
          const bytes = Buffer.concat(parts);
          const text = bytes.toString('utf8');
          done({
            status: answer.statusCode, headers: answer.headers, bytes, text,
            json: () => JSON.parse(text),
          });
        });
      });
    out.on('error', fail);
    out.end(payload);
  }), `${method} ${path}`, 60_000);
}

/** A problem document as RFC 9457 wants it. */
export function assertProblem(answer, status) {
  assert.equal(answer.status, status, answer.text);
  assert.match(answer.headers['content-type'] ?? '', /^application\/problem\+json/);
  const problem = answer.json();
  assert.equal(problem.status, status);
  assert.equal(typeof problem.title, 'string');
  assert.equal(typeof problem.type, 'string');
  assert.ok(problem.detail?.length > 0, answer.text);
  return problem;
}

/** A bare connection: what goes out and comes in, byte by byte. */
export class Raw {
  static async connect(port, host = '127.0.0.1') {
    const raw = new Raw();
    raw.socket = net.connect({ port, host, allowHalfOpen: true });
    raw.socket.setNoDelay(true);
    raw.bytes = Buffer.alloc(0);
    raw.closed = false;
    raw.socket.on('data', (part) => (raw.bytes = Buffer.concat([raw.bytes, part])));
    for (const name of ['end', 'close', 'error']) raw.socket.on(name, () => (raw.closed = true));
    await within(once(raw.socket, 'connect'), 'a connection');
    return raw;
  }

  get text() {
    return this.bytes.toString('latin1');
  }

  send(bytes) {
    this.socket.write(bytes);
  }

  /** Removes and returns one whole HTTP answer: { status, headers, body }. */
  async answer({ head = false } = {}) {
    const end = await until(() => {
      const at = this.bytes.indexOf('\r\n\r\n');
      if (at < 0 && this.closed) throw new Error(`closed within an answer: ${this.text}`);
      return at >= 0 && at + 4;
    }, 'the head of an answer');
    const [first, ...rows] = this.text.slice(0, end - 4).split('\r\n');
    const headers = Object.fromEntries(rows.map((row) => {
      const colon = row.indexOf(':');
      return [row.slice(0, colon).toLowerCase(), row.slice(colon + 1).trim()];
    }));
    const status = Number(first.split(' ')[1]);
    this.bytes = this.bytes.subarray(end);
    const version = first.split(' ')[0];
    if (head || status < 200 || status === 204 || status === 304)
      return { status, version, headers, body: '' };
    const body = headers['transfer-encoding'] === 'chunked' ? await this.#chunks()
      : headers['content-length'] !== undefined ? await this.take(Number(headers['content-length']))
      : await this.rest();
    return { status, version, headers, body };
  }

  async take(count) {
    await until(() => this.bytes.length >= count || this.closed, `${count} bytes`);
    assert.ok(this.bytes.length >= count, 'closed within a body');
    const text = this.text.slice(0, count);
    this.bytes = this.bytes.subarray(count);
    return text;
  }

  async rest() {
    await until(() => this.closed, 'the end of the connection');
    return this.take(this.bytes.length);
  }

  async #chunks() {
    let body = '';
    for (;;) {
      const end = await until(() => {
        const at = this.bytes.indexOf('\r\n');
        if (at < 0 && this.closed) throw new Error('closed within a chunked body');
        return at >= 0 && at + 2;
      }, 'a chunk');
      const size = parseInt((await this.take(end)).trim(), 16);
      body += (await this.take(size + 2)).slice(0, size);
      if (size === 0) return body;
    }
  }

  /** True when the other side has ended it. */
  async ended() {
    await until(() => this.closed, 'the connection to be closed');
    return true;
  }

  close() {
    this.socket.destroy();
  }
}

/** Reads server-sent events: events() are those so far; next(n) waits for n of them. */
export class Events {
  static async open(server, path, { headers = {}, key = server.key } = {}) {
    const events = new Events();
    events.list = [];
    events.comments = [];
    events.over = false;
    const all = { accept: 'text/event-stream', ...headers };
    if (key) all.authorization = `Bearer ${key}`;
    events.request = http.get(
      { host: '127.0.0.1', port: server.port, path, headers: all, agent: false });
    const [answer] = await within(once(events.request, 'response'), 'an event stream');
    events.status = answer.statusCode;
    events.headers = answer.headers;
    answer.setEncoding('utf8');
    let rest = '';
    answer.on('data', (part) => {
      const blocks = (rest + part).split('\n\n');
      rest = blocks.pop();
      for (const block of blocks) events.#take(block);
    });
    for (const name of ['end', 'error', 'close']) answer.on(name, () => (events.over = true));
    events.request.on('error', () => (events.over = true));
    return events;
  }

  #take(block) {
    const event = { event: 'message', data: [] };
    for (const row of block.split('\n')) {
      if (row.startsWith(':')) {
        this.comments.push(row);
        continue;
      }
      const [, name, value] = /^([^:]*):? ?(.*)$/.exec(row);
      if (name === 'data') event.data.push(value);
      else event[name] = value;
    }
    if (!event.data.length && event.event === 'message') return;
    event.data = event.data.join('\n');
    if (event.data.startsWith('{')) event.json = JSON.parse(event.data);
    this.list.push(event);
  }

  async next(count) {
    await until(() => this.list.length >= count || this.over, `${count} events`);
    assert.ok(this.list.length >= count, `the stream ended after ${this.list.length} events`);
    return this.list.splice(0, count);
  }

  close() {
    this.request.destroy();
  }
}
