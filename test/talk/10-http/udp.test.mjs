// Line protocol by UDP: lines are judged as those of POST /write, nobody is answered, and what is
// not taken is counted.
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { test } from 'node:test';
import { createKey, long, serve, tempDir, until, weir } from '../harness.mjs';

const t0 = 1_700_000_000_000;

async function makeKey(data, name, rights, more = []) {
  const run = await weir(
    ['admin', 'key', 'create', '--data', data, '--name', name, '--rights', rights, ...more]);
  assert.equal(run.code, 0, run.stderr);
  return run.stdout.trim();
}

/** A server that listens, a sender of datagrams, and its metrics. */
async function listening(t, { sets = [], key = 'sensors', rights = 'write', options = {} } = {}) {
  const data = tempDir();
  if (key) await makeKey(data, key, rights);
  const all = ['udp.listen=127.0.0.1:0', `udp.key=${key ?? 'nobody'}`, 'udp.precision=ms', ...sets];
  const server = await serve(t,
    { data, args: all.flatMap((one) => ['--set', one]), ...options });
  const socket = createSocket('udp4');
  t.after(() => socket.close());
  const port = () => Number(/event=listening_udp address="?127\.0\.0\.1:(\d+)/.exec(
    server.log.slice(server.log.lastIndexOf('event=starting')))[1]);
  const send = (bytes) => new Promise((done, fail) => socket.send(bytes, port(), '127.0.0.1',
    (error) => (error ? fail(error) : done())));
  const metric = async (name) => {
    const { text } = await server.get('/metrics');
    const escaped = name.replace(/[{}"]/g, '\\$&');
    return Number(new RegExp(`^${escaped} (\\d+)$`, 'm').exec(text)[1]);
  };
  return { server, socket, port, send, metric };
}

async function points(server, metric) {
  const answer = await server.get(`/api/v1/query?metric=${metric}&from=0&to=${t0 * 2}`);
  assert.equal(answer.status, 200, answer.text);
  return answer.json().series.flatMap((one) => one.points);
}

const accepted = 'weir_udp_lines_total{result="accepted"}';
const rejected = 'weir_udp_lines_total{result="rejected"}';
const dropped = (reason) => `weir_udp_dropped_total{reason="${reason}"}`;

/** Sends a line until the server has read it: what was sent before has been read, too. */
async function mark({ server, send }, name) {
  await until(async () => {
    await send(`${name} v=1 ${t0}`);
    return (await points(server, `${name}.v`)).length;
  }, 'a datagram to be read');
}

test('lines become points, also after a restart; half lines and bad ones are counted', async (t) => {
  const world = await listening(t);
  const { server, send, metric } = world;
  await send(`udp,host=a v=1 ${t0}\nudp,host=a v=2 ${t0 + 1}\n`);
  await send(`udp,host=a v=3 ${t0 + 2}`); // no line end: a datagram is whole lines
  await send(`udp,host=a v=4 ${t0 + 3}\nudp,host=a v=\nudp,host`);
  await until(async () => await metric(accepted) === 4, 'four lines');
  assert.equal(await metric(rejected), 2);
  assert.equal(await metric('weir_udp_datagrams_total'), 3);
  assert.deepEqual(await points(server, 'udp.v'), [[t0, 1], [t0 + 1, 2], [t0 + 2, 3], [t0 + 3, 4]]);
  assert.match(server.log,
    /event=udp_rejected what="line 2, column \d+: \w+: .*" peer=127\.0\.0\.1/);
  // The record says who wrote it, as every other one.
  await server.kill9();
  await server.again();
  assert.equal((await points(server, 'udp.v')).length, 4);
  await mark(world, 'again');
});

test('hostile datagrams: empty, full, binary, endless names', async (t) => {
  const world = await listening(t);
  const { server, send, metric } = world;
  const big = Array.from({ length: 2600 }, (_, i) => `big,n=${i % 10} v=${i} ${t0 + i}`)
    .join('\n').slice(0, 65507);
  const whole = big.split('\n').length - 1; // the last one is cut
  await send('');
  await send(Buffer.alloc(0));
  await send(big);
  await send(Buffer.from(Array.from({ length: 2000 }, (_, i) => (i * 7919) % 256)));
  await send(Buffer.alloc(65507, 0));
  await send(Buffer.alloc(65507, 'a'));
  await send('\n\n\r\n# only a comment\n');
  await send(`${'n'.repeat(60000)} v=1 ${t0}`);
  await send(`t,${Array.from({ length: 5000 }, (_, i) => `k${i}=v`).join(',')} v=1`);
  await mark(world, 'sound');
  assert.ok((await points(server, 'big.v')).length >= whole);
  assert.ok(await metric(rejected) >= 4);
  assert.equal(await metric(dropped('failed')), 0);
  assert.equal((await server.get('/healthz')).status, 200);
});

test('a key that is not there, may not write, is made, is removed', async (t) => {
  const world = await listening(t, { key: null });
  const { server, send, metric } = world;
  const gone = async (reason, count) => until(async () => {
    await send(`k v=1 ${t0}`);
    return await metric(dropped(reason)) >= count;
  }, `a drop for ${reason}`);
  await gone('key', 1);
  assert.match(server.log, /event=udp_dropped what="no key of this name or id may write \(key nob/);
  await makeKey(server.data, 'nobody', 'read,publish,subscribe');
  await gone('key', await metric(dropped('key')) + 1);
  assert.deepEqual(await points(server, 'k.v'), []);
  const remove = () => weir(['admin', 'key', 'remove', '--data', server.data, '--name', 'nobody']);
  assert.equal((await remove()).code, 0);
  await makeKey(server.data, 'nobody', 'write');
  await mark(world, 'now');
  assert.equal((await remove()).code, 0);
  await gone('key', await metric(dropped('key')) + 1);
});

test('the limits of the key hold', async (t) => {
  const { server, send, metric } = await listening(t,
    { sets: ['rate.readings_per_s=1', 'rate.burst_s=1', 'series.principal_max=2'] });
  await send(`l,n=1 v=1 ${t0}\nl,n=2 v=1 ${t0}\nl,n=3 v=1 ${t0}`);
  await until(async () => await metric(accepted) === 2, 'two series');
  assert.equal(await metric(rejected), 1);
  assert.match(server.log, /event=udp_rejected .*line 3, column 0: too_many_series: it would make/);
  await until(async () => {
    await send(`l,n=1 v=2 ${t0 + 1}`);
    return await metric(dropped('limit')) > 0;
  }, 'the limit of readings');
});

test('a flood: what is lost is counted, memory is bounded, HTTP goes on', async (t) => {
  const world = await listening(t, { sets: ['intake.bytes_max=1MiB', 'net.loops=1'] });
  const { server, socket, port, metric } = world;
  const count = long ? 400_000 : 40_000;
  const size = 50;
  const to = port();
  let sent = 0;
  for (let i = 0; i < count; i += 500) {
    await Promise.all(Array.from({ length: 500 }, (_, k) => new Promise((done) => {
      const lines = Array.from({ length: size }, (_, j) => `f,n=${j} v=${i} ${t0 + i + k}`);
      socket.send(lines.join('\n'), to, '127.0.0.1', (error) => {
        if (!error) sent++;
        done();
      });
    })));
  }
  assert.equal((await server.get('/healthz')).status, 200);
  await mark(world, 'after');
  const lost = await metric(dropped('full'));
  const read = await metric('weir_udp_datagrams_total');
  assert.ok(read + lost >= sent, `${sent} sent, ${read} read, ${lost} lost`);
  assert.equal(await metric(rejected), 0);
  await until(async () => await metric(accepted) >= (read - 1) * size * 0.99, 'them to be durable');
  assert.ok(await metric('weir_process_resident_bytes') < 700e6);
});

test('without a key, or where somebody listens, the server does not start', async (t) => {
  const data = tempDir();
  await createKey(data);
  const start = (...sets) => weir(['serve', '--data', data, '--listen', 'http://127.0.0.1:0',
    ...sets.flatMap((one) => ['--set', one])]);
  const keyless = await start('udp.listen=127.0.0.1:0');
  assert.notEqual(keyless.code, 0);
  assert.match(keyless.stderr, /udp\.listen needs udp\.key/);
  const nonsense = await start('udp.listen=somewhere', 'udp.key=k');
  assert.match(nonsense.stderr, /cannot listen on somewhere/);
  const { port } = await listening(t);
  const taken = await start(`udp.listen=127.0.0.1:${port()}`, 'udp.key=k');
  assert.match(taken.stderr, /the address is in use/);
});
