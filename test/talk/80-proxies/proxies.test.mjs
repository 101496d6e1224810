// Behind nginx and HAProxy as docs/proxies.md sets them up: every transport live, bodies taken as
// they come, the client's address, and a server that goes away and comes back.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import http from 'node:http';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import WebSocket from 'ws';
import { Events, request, Server, tempDir, until, within } from '../harness.mjs';
import { front, missing, names } from './front.mjs';

const base = '/api/v1';
const args = ['--set', 'net.trusted_proxies=127.0.0.0/8', '--set', 'rate.failures_per_s=1'];

for (const name of names) {
  describe(name, { skip: missing(name) }, () => {
    let server;
    let proxy;
    let connect;
    before(async () => {
      server = await Server.start({ args });
      server.options = { ...server.options, listen: [server.url] };
      proxy = await front(name, server.port);
      await until(async () => (await request(proxy.port, 'GET', '/readyz')).status === 200,
        'the server behind the proxy');
      const file = join(tempDir(), 'weir.mjs');
      const module = await request(proxy.port, 'GET', '/weir.js');
      assert.equal(module.status, 200);
      writeFileSync(file, module.bytes);
      ({ connect } = await import(pathToFileURL(file)));
    });
    after(async () => {
      await proxy?.stop();
      await server?.stop();
    });

    const ask = (method, path, options = {}) =>
      request(proxy.port, method, path, { key: server.key, ...options });
    const publish = async (channel, data) => {
      const answer = await ask('POST', `${base}/publish`, { body: { channels: [channel], data } });
      assert.equal(answer.status, 201, answer.text);
      return answer.json();
    };

    for (const transport of ['websocket', 'sse', 'longpoll']) {
      test(`${transport}: messages come at once, and after a restart`, async (t) => {
        const list = [];
        let gaps = 0;
        const client = connect(proxy.url, {
          token: server.key, transports: [transport], WebSocket, pauseMs: 50, pauseMaxMs: 300,
        });
        t.after(() => client.close());
        client.on('gap', () => (gaps += 1));
        const { ready } = client.subscribe(`p/${transport}`, ({ data }) => list.push(data));
        await within(ready, 'the subscription');
        for (const i of [1, 2, 3]) {
          await publish(`p/${transport}`, i);
          await until(() => list.length === i, 'the message');
        }
        assert.deepEqual(list, [1, 2, 3]);
        assert.match((await client.publish(`p/${transport}`, 4)).id, /^m\d+$/);
        await until(() => list.length === 4, 'the message');
        await server.kill9();
        await until(() => client.state === 'waiting', 'the loss');
        await server.again();
        await until(() => gaps === 1, 'the gap', 20_000);
        await until(async () => {
          const answer = await ask(
            'POST', `${base}/publish`, { body: { channels: [`p/${transport}`], data: 5 } });
          return answer.status === 201 && answer.json().delivered;
        }, 'it to listen again', 20_000);
        await until(() => list.includes(5), 'the message');
        assert.equal(client.transport, transport);
      });
    }

    test('an event stream is not kept back, nor its comments', async () => {
      const events = await Events.open(
        { port: proxy.port, key: server.key }, `${base}/subscribe?channel=stream`);
      assert.equal(events.status, 200);
      assert.match(events.headers['content-type'], /^text\/event-stream/);
      await publish('stream', 'x');
      assert.equal((await events.next(1))[0].json.data, 'x');
      events.close();
    });

    test('readings of a body that does not end are taken as they come', async () => {
      const out = http.request({
        host: '127.0.0.1', port: proxy.port, method: 'POST', path: '/write?precision=ms',
        headers: { authorization: `Bearer ${server.key}` }, agent: false,
      });
      const answered = once(out, 'response');
      const now = Date.now();
      let rows = 0;
      const latest = async () => {
        const answer = await ask('GET', `${base}/latest?metric=far.temp`);
        return answer.json().series[0]?.value;
      };
      await until(async () => {
        const lines = Array.from({ length: 2000 }, () => `far temp=${++rows} ${now + rows}\n`);
        out.write(lines.join(''));
        return (await latest()) > 0;
      }, 'the first readings, while more come');
      out.end();
      const [answer] = await within(answered, 'the answer');
      answer.resume();
      assert.equal(answer.statusCode, 204);
      await until(async () => (await latest()) === rows, 'the last reading');
    });

    test('a body of 8 MiB, a large answer, an upgrade that is none', async () => {
      const lines = Array.from({ length: 100_000 },
        (_, i) => `{"device":{"id":5},"readings":[{"time":${1.7e12 + i},"large":${i}}]}`);
      const sent = await ask('POST', `${base}/readings`, {
        body: lines.join('\n'), headers: { 'content-type': 'application/x-ndjson' },
      });
      assert.equal(sent.status, 202, sent.text);
      assert.equal(sent.json().accepted, lines.length);
      const path = `${base}/query?metric=large&from=${1.7e12}&to=${1.8e12}`;
      const rows = (await ask('GET', path)).json().series[0].points;
      assert.equal(rows.length, lines.length);
      const wrong = await ask('GET', `${base}/subscribe?channel=x`,
        { headers: { upgrade: 'websocket', connection: 'upgrade' } });
      assert.ok(wrong.status >= 400 && wrong.status < 500, `${wrong.status}`);
    });

    test('who guesses keys locks out himself, not the others', async () => {
      // All come through the proxy; a neighbour is one with another loopback address.
      const from = (localAddress, key, headers = {}) => new Promise((done, fail) => {
        const out = http.get({
          host: '127.0.0.1', port: proxy.port, path: `${base}/series`, localAddress, agent: false,
          headers: { authorization: `Bearer ${key}`, ...headers },
        }, (answer) => {
          answer.resume();
          done(answer.statusCode);
        });
        out.on('error', fail);
      });
      const forged = () => ({ 'x-forwarded-for': `10.1.1.${Math.floor(Math.random() * 256)}` });
      await until(async () => (await from('127.0.0.7', 'wrong', forged())) === 429,
        'the guesser to be refused, whatever he says of himself');
      assert.equal(await from('127.0.0.8', server.key), 200);
      assert.equal((await ask('GET', `${base}/series`)).status, 200);
    });
  });
}

test('X-Forwarded-For counts only from trusted proxies, and up to the last stranger', async (t) => {
  const guess = async (server, forwarded, key = 'wrong') => {
    const headers = forwarded ? { 'x-forwarded-for': forwarded } : {};
    return (await server.get(`${base}/series`, { key, headers })).status;
  };
  const blocks = async (server, forwarded) => {
    for (let i = 0; i < 100; i++) if (await guess(server, forwarded(i)) === 429) return true;
    return false;
  };
  const set = ['--set', 'rate.failures_per_s=1'];
  const plain = await Server.start({ args: set });
  t.after(() => plain.stop());
  assert.ok(await blocks(plain, (i) => `10.0.0.${i}`), 'a stranger cannot hide');
  const behind = await Server.start({
    args: [...set, '--set', 'net.trusted_proxies=127.0.0.1 10.0.0.0/8'],
  });
  t.after(() => behind.stop());
  assert.ok(!await blocks(behind, (i) => `192.0.2.${i}`), 'each is another one');
  assert.ok(await blocks(behind, (i) => `203.0.113.${i}, 198.51.100.1, 10.0.0.${i}`));
  assert.equal(await guess(behind, '198.51.100.1'), 429);
  assert.equal(await guess(behind, '198.51.100.2'), 401);
  assert.ok(await blocks(behind, (i) => `198.51.100.3, not an address ${i}`));
  assert.equal(await guess(behind), 429, 'what is no address is the proxy\'s fault');
});
