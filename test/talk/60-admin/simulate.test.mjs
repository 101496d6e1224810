// `weir simulate` and `weir bench` against real servers: what they say must be so.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { binary, request, Server, serve, tempDir, until, weir } from '../harness.mjs';
import { spawn } from 'node:child_process';

const simulate = (server, ...more) =>
  weir(['simulate', '--url', server.url, '--key', server.key, ...more], { ms: 60_000 });

async function stored(server, metric, tags, from, to) {
  const query = new URLSearchParams({
    metric, ...tags, from, to, step: '1000d', agg: 'count,first,last,min,max,sum',
  });
  const answer = await server.get(`/api/v1/query?${query}`);
  assert.equal(answer.status, 200, answer.text);
  const { series } = answer.json();
  assert.equal(series.length, 1, `${metric} ${JSON.stringify(tags)}`);
  assert.equal(series[0].points.length, 1, answer.text);
  const { columns, points: [row] } = series[0];
  return Object.fromEntries(columns.map((name, i) => [name, row[i]]));
}

for (const format of ['json', 'line']) {
  test(`the store holds what simulate says: ${format}`, async (t) => {
    const server = await serve(t);
    const run = await simulate(server, '--seed', '11', '--count', '5000', '--devices', '7',
      '--gateways', '2', '--speed-up', '60', '--format', format);
    assert.equal(run.code, 0, run.stderr);
    const lines = run.stdout.trim().split('\n').map((line) => JSON.parse(line));
    const { total } = lines.pop();
    assert.equal(total.readings, 5000);
    assert.equal(total.series, lines.length);
    assert.equal(total.points, lines.reduce((sum, line) => sum + line.count, 0));
    for (const line of lines) {
      const { metric, tags, first_time, last_time } = line;
      const got = await stored(server, metric, tags, first_time, last_time + 1);
      for (const name of ['count', 'first', 'last', 'min', 'max'])
        assert.equal(got[name], line[name], `${name} of ${metric} ${JSON.stringify(tags)}`);
      assert.ok(Math.abs(got.sum - line.sum) < 1e-6, `sum of ${metric}: ${got.sum}, ${line.sum}`);
    }
    const all = (await server.get('/api/v1/series?limit=1000')).json().items.length;
    assert.equal(all, total.series);
  });
}

test('simulate without a server, without a right, with a wrong option', async (t) => {
  const server = await serve(t);
  const gone = await weir(['simulate', '--url', 'http://127.0.0.1:1', '--key', 'k', '--count', '5']);
  assert.equal(gone.code, 1);
  assert.match(gone.stderr, /cannot reach http:\/\/127\.0\.0\.1:1: /);
  const stranger = await weir(['simulate', '--url', server.url, '--key', 'k', '--count', '5']);
  assert.equal(stranger.code, 1);
  assert.match(stranger.stderr, / 401 /);
  for (const args of [['--count', 'x'], ['--gateways', '9', '--devices', '3'], ['--start', 'soon'],
    ['--url', 'ftp://x'], ['--speed-up', '0.5'], ['extra']]) {
    const run = await weir(['simulate', ...args]);
    assert.equal(run.code, 2, args.join(' '));
    assert.ok(run.stderr.startsWith('weir simulate: '), run.stderr);
  }
});

test('simulate outlives a restart of the server and loses nothing', async (t) => {
  const server = await Server.start({ listen: ['http://127.0.0.1:0'] });
  t.after(() => server.child.exitCode === null && server.stop());
  const child = spawn(binary, ['simulate', '--url', server.url, '--key', server.key,
    '--count', '600000', '--seed', '5']);
  t.after(() => child.kill('SIGKILL'));
  let out = '';
  let said = '';
  child.stdout.on('data', (part) => (out += part));
  child.stderr.on('data', (part) => (said += part));
  const ended = new Promise((done) => child.on('close', (code) => done(code)));
  await until(async () => (await server.get('/api/v1/series')).json().items.length > 0, 'readings');
  server.options = { ...server.options, listen: [server.url] };
  await server.kill9();
  await until(() => said.includes('trying again'), 'the loss to be noticed');
  await server.again();
  assert.equal(await ended, 0, said);
  assert.match(said, /answers again/);
  const line = JSON.parse(out.split('\n').find((one) => one.includes('"temp"')));
  const got = await stored(server, line.metric, line.tags, line.first_time, line.last_time + 1);
  assert.equal(got.count, line.count);
});

test('simulate without a count runs until it is told to stop', async (t) => {
  const server = await serve(t);
  const child = spawn(binary, ['simulate', '--url', server.url, '--key', server.key,
    '--start', '-1h', '--interval', '100ms', '--speed-up', '60']);
  t.after(() => child.kill('SIGKILL'));
  const ended = new Promise((done) => child.on('close', (code) => done(code)));
  const begin = Date.now();
  await until(async () => {
    const { series } = (await server.get('/api/v1/latest?metric=temp')).json();
    return series.length === 12 && series.every((one) => one.time > begin);
  }, 'every device to be live');
  child.kill('SIGTERM');
  assert.equal(await ended, 0);
});

test('the demonstration has history and goes on', async (t) => {
  const demo = await Server.start({ command: 'demo', key: 'weir-demo-key' });
  t.after(() => demo.child.exitCode === null && demo.stop());
  const now = Date.now();
  await until(async () => {
    const { series } = (await demo.get('/api/v1/latest?metric=temp')).json();
    return series.length > 0 && series.every((one) => one.time > now);
  }, 'every device to be live');
  const answer = await request(demo.port, 'GET', '/api/v1/query?metric=temp&from=-6h&to=-1h',
    { key: 'weir-demo-key' });
  for (const one of answer.json().series) assert.ok(one.points.length >= 50, answer.text);
});

for (const kind of ['ingest', 'json', 'live', 'start', 'idle', 'query']) {
  test(`bench ${kind} measures and cleans up`, async () => {
    const dir = tempDir();
    const small = kind === 'live' ? ['--rate', '200', '--duration', '500ms']
      : ['--readings', '20000', '--series', '100', '--batch', '500'];
    if (kind === 'idle') small.push('--duration', '100ms');
    const run = await weir(['bench', kind, '--runs', '2', '--dir', dir, ...small], { ms: 110_000 });
    assert.equal(run.code, 0, run.stderr);
    const lines = run.stdout.trim().split('\n').map((line) => JSON.parse(line));
    assert.equal(lines.length, 3);
    for (const line of lines) assert.equal(line.bench, kind);
    assert.deepEqual(Object.keys(lines[2].median), Object.keys(lines[0].figures));
    const { readdirSync } = await import('node:fs');
    assert.deepEqual(readdirSync(dir), []);
  });
}
