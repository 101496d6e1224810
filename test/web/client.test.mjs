// The JavaScript client in headless Chromium, on a page of the server's own origin and on one of
// another: each transport, coming back, what is remembered.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import { chromium } from 'playwright-core';
import { Application, json, status } from '../talk/30-channels/application.mjs';
import { Server, until } from '../talk/harness.mjs';

const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';
const skip = existsSync(executablePath) ? false : 'no Chromium here';
const limit = 30_000;
let server;
let browser;

before(async () => {
  if (skip) return;
  server = await Server.start();
  browser = await chromium.launch({
    executablePath, headless: true,
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
      '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

async function publish(channel, data) {
  const answer = await server.post('/api/v1/publish', { channels: [channel], data });
  assert.equal(answer.status, 201, answer.text);
  return answer.json();
}

/** A page with window.weir, a client, and window.list, what it heard on the channel. */
async function open(t, channel, options = {}) {
  const context = await browser.newContext({ bypassCSP: true });
  t.after(() => context.close());
  const page = await context.newPage();
  await page.goto(`${server.url}/docs`);
  const listen = () => page.evaluate(async ([name, settings]) => {
    const { connect } = await import('/weir.js');
    window.list = [];
    window.gaps = 0;
    window.weir = connect('', { pauseMs: 50, pauseMaxMs: 500, ...settings });
    weir.on('gap', () => (window.gaps += 1));
    await weir.subscribe(name, ({ data }) => list.push(data)).ready;
  }, [channel, { token: server.key, ...options }]);
  await listen();
  const heard = (expected) => page.waitForFunction(
    (wanted) => JSON.stringify(list) === wanted, JSON.stringify(expected), { timeout: limit });
  return { context, page, heard, listen };
}

for (const transport of ['websocket', 'sse', 'longpoll']) {
  test(`${transport}: a page hears what is published, and publishes`, { skip }, async (t) => {
    const { page, heard } = await open(t, `web/${transport}`, { transports: [transport] });
    assert.equal(await page.evaluate('weir.transport'), transport);
    await publish(`web/${transport}`, { grüße: 1 });
    const id = await page.evaluate(
      async (name) => (await weir.publish(name, [2])).id, `web/${transport}`);
    assert.match(id, /^m\d+$/);
    await heard([{ grüße: 1 }, [2]]);
  });

  test(`${transport}: who was offline hears all of it when online again`, { skip }, async (t) => {
    const name = `offline/${transport}`;
    const { context, heard } = await open(t, name, { transports: [transport] });
    await publish(name, 1);
    await heard([1]);
    await context.setOffline(true);
    for (const i of [2, 3]) await publish(name, i);
    await context.setOffline(false);
    await publish(name, 4);
    await heard([1, 2, 3, 4]);
  });
}

test('what works is remembered for the next page', { skip }, async (t) => {
  const { page, listen } = await open(t, 'kept');
  await page.waitForFunction(
    () => Object.entries(localStorage).some(([k, v]) => /^weir/.test(k) && /websocket/.test(v)),
    null, { timeout: limit });
  await page.evaluate(() => {
    const key = Object.keys(localStorage).find((name) => name.startsWith('weir'));
    localStorage.setItem(key, JSON.stringify({ name: 'longpoll', at: Date.now() }));
  });
  await page.reload();
  await listen();
  assert.equal(await page.evaluate('weir.transport'), 'longpoll');
});

test('a page goes on after the server was away, and knows of the gap', { skip }, async (t) => {
  const { page, heard } = await open(t, 'away');
  await publish('away', 1);
  await heard([1]);
  await server.stop();
  await page.waitForFunction('weir.state === "waiting"', null, { timeout: limit });
  server.options = { ...server.options, listen: [server.url] };
  await server.again();
  await page.waitForFunction('weir.state === "online" && gaps === 1', null, { timeout: limit });
  await until(async () => (await publish('away', 2)).delivered, 'it to listen');
  await page.waitForFunction('list.includes(2)', null, { timeout: limit });
});

for (const transport of ['websocket', 'sse', 'longpoll']) {
  test(`${transport}: the cookie of an application is enough`, { skip }, async (t) => {
    const app = await Application.start(t, (question, answer) =>
      (/session=alice/.test(question.headers.cookie) ? json({ allow: ['user/alice/#'] })
        : status(401))(question, answer));
    const beside = await Server.start({ args: ['--set', `auth.subscribe_url=${app.url}`] });
    t.after(() => beside.stop());
    const context = await browser.newContext({ bypassCSP: true });
    t.after(() => context.close());
    const page = await context.newPage();
    await page.goto(`${beside.url}/docs`);
    const subscribe = () => page.evaluate(async (name) => {
      const { connect } = await import('/weir.js');
      window.list = [];
      window.weir = connect('', { transports: [name], pauseMs: 50 });
      try {
        await weir.subscribe('user/alice/mail', ({ data }) => list.push(data)).ready;
      } catch (error) {
        return error.status;
      }
      return weir.transport;
    }, transport);
    assert.equal(await subscribe(), 401);
    await context.addCookies([{ name: 'session', value: 'alice', url: beside.url }]);
    assert.equal(await subscribe(), transport);
    const answer = await beside.post('/api/v1/publish', { channels: ['user/alice/mail'], data: 7 });
    assert.equal(answer.status, 201, answer.text);
    await page.waitForFunction('list.includes(7)', null, { timeout: limit });
  });
}

/** A page of another origin, and a server with settings that may name it. */
async function strangers(t, settings) {
  const pages = createServer((_, answer) => {
    answer.setHeader('content-type', 'text/html');
    answer.end('<!doctype html><title>elsewhere</title>');
  }).listen(0, '127.0.0.1');
  t.after(() => pages.close());
  await new Promise((done) => pages.once('listening', done));
  const origin = `http://127.0.0.1:${pages.address().port}`;
  const other = await Server.start({
    args: settings.flatMap((name) => ['--set', `${name}=http://a.example ${origin}`]),
  });
  t.after(() => other.stop());
  const context = await browser.newContext({ bypassCSP: true });
  t.after(() => context.close());
  const page = await context.newPage();
  await page.goto(origin);
  const listen = (options) => page.evaluate(async ([url, token, more]) => {
    const { connect } = await import(`${url}/weir.js`);
    window.list = [];
    window.weir = connect(url, { token, pauseMs: 50, ...more });
    const refused = new Promise((_, fail) => weir.on('error', fail));
    refused.catch(() => undefined);
    const { ready } = weir.subscribe('far', ({ data }) => list.push(data));
    await Promise.race([ready, more.failing ? refused : ready]);
    await weir.publish('far', 1, { key: 'so that it goes over HTTP' });
    // The subscription may be ready before the link that is to bring what comes.
    while (!weir.transport) await new Promise((done) => setTimeout(done, 10));
    return weir.transport;
  }, [other.url, other.key, options]);
  return { page, listen };
}

for (const transport of ['websocket', 'sse', 'longpoll']) {
  test(`${transport}: a page of an origin that is allowed hears and publishes`, { skip },
    async (t) => {
      const { page, listen } = await strangers(t, ['http.cors_origins', 'ws.origins']);
      assert.equal(await listen({ transports: [transport] }), transport);
      await page.waitForFunction('list.length === 1', null, { timeout: limit });
    });
}

test('an origin without WebSockets gets event streams; one not allowed nothing', { skip },
  async (t) => {
    const { listen } = await strangers(t, ['http.cors_origins']);
    assert.equal(await listen({}), 'sse');
    const none = await strangers(t, ['ws.origins']);
    await assert.rejects(none.listen({ failing: true }), /Failed to fetch/);
  });
