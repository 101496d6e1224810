// Journal segments that are sealed, found by device, trimmed; and what `weir inspect` says.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { serve, tempDir, until, weir } from '../harness.mjs';

const t0 = 1_700_000_000_000;
const small = ['--set', 'journal.segment_bytes=1MiB', '--set', 'retention.look_s=100ms'];
const sealing = [...small, '--set', 'journal.seal_age_s=0'];

const segments = (server, suffix) => readdirSync(join(server.data, 'journal'))
  .filter((name) => name.endsWith(suffix));

async function metric(server, name) {
  const { text } = await server.get('/metrics');
  return Number(text.match(new RegExp(`^${name} (\\d+)$`, 'm'))?.[1]);
}

/** A body of 120 items: every device has one in ten. */
async function push(server, body) {
  const items = Array.from({ length: 120 }, (_, i) => ({
    device: { id: (body % 10) * 120 + i, auth: 'secret' },
    readings: [{ time: t0 + body * 1000 + i, temperature: body + i / 10 }],
  }));
  const answer = await server.post('/api/v1/readings', items);
  assert.ok(answer.status === 202 || answer.status === 204 || answer.status === 200, answer.text);
}

async function raw(server, query) {
  const answer = await server.get(`/api/v1/raw?${query}`);
  assert.equal(answer.status, 200, answer.text);
  return answer.text.split('\n').filter(Boolean).map((line) => JSON.parse(line));
}

async function inspect(data, ...more) {
  const run = await weir(['inspect', data, ...more]);
  const said = Object.fromEntries(run.stdout.split('\n').map((line) => line.split(' '))
    .filter((words) => words.length === 2));
  return { ...run, said };
}

async function checkDevice(server, device, bodies) {
  const lines = await raw(server, `device=${device}`);
  const mine = Array.from({ length: bodies }, (_, body) => body)
    .filter((body) => body % 10 === Math.floor(device / 120));
  assert.deepEqual(lines.map((line) => line.message.readings[0].time),
    mine.map((body) => t0 + body * 1000 + device % 120));
  for (const { message } of lines) {
    assert.equal(message.device.id, device);
    assert.match(message.device.auth, /^\*+$/);
  }
}

test('a device is found in sealed segments, before and after a restart', async (t) => {
  const server = await serve(t, { args: sealing });
  const bodies = 400;
  for (let body = 0; body < bodies; body++) await push(server, body);
  await until(async () => await metric(server, 'weir_journal_sealed_segments') >= 3 &&
    segments(server, '.seg').filter((name) => !name.startsWith('spare')).length === 1, 'sealing');
  for (const device of [0, 77, 1199]) await checkDevice(server, device, bodies);
  assert.equal((await raw(server, '')).length, bodies * 120);
  await server.kill9();
  await server.again();
  for (const device of [0, 600]) await checkDevice(server, device, bodies);
  const query = await server.get(`/api/v1/query?metric=temperature&device=77&from=0&to=${t0 * 2}`);
  assert.equal(query.json().series.flatMap((one) => one.points).length, bodies / 10);

  const beside = await inspect(server.data);
  assert.equal(beside.code, 0, beside.stdout + beside.stderr);
  assert.ok(Number(beside.said.journal_sealed_segments) >= 3);
  assert.equal(beside.said.damages, '0');
  await server.stop();
  const after = await inspect(server.data, '--list');
  assert.equal(after.code, 0, after.stdout + after.stderr);
  assert.equal(after.said.points, String(bodies * 120));
  assert.equal(after.said.series, '1200');
  assert.ok(Number(after.said.bytes_per_point) > 0);
  assert.ok(Number(after.said.bytes_per_point_with_rollups) >= Number(after.said.bytes_per_point));
  assert.ok(Number(after.said.journal_bytes) > 0);
  assert.match(after.stdout, /^segment 1 sealed bytes \d+ records \d+ seqs 1 to \d+ from \S+ to /m);
  assert.match(after.stdout, /^part \d+ points partition \d+ /m);
});

test('inspect names what is damaged and ends with 1', async (t) => {
  const server = await serve(t, { args: sealing });
  for (let body = 0; body < 200; body++) await push(server, body);
  await until(() => segments(server, '.sealed').length >= 1, 'sealing');
  await server.stop();
  const [name] = segments(server, '.sealed');
  const path = join(server.data, 'journal', name);
  const bytes = readFileSync(path);
  bytes[Math.floor(bytes.length / 3)] ^= 4;
  writeFileSync(path, bytes);
  const [part] = readdirSync(join(server.data, 'series'));
  const partPath = join(server.data, 'series', part);
  const partBytes = readFileSync(partPath);
  partBytes[100] ^= 1;
  writeFileSync(partPath, partBytes);
  const run = await inspect(server.data);
  assert.equal(run.code, 1);
  assert.match(run.stdout, new RegExp(`^damage ${name} at byte \\d+: crc`, 'm'));
  assert.match(run.stdout, new RegExp(`^damage ${part} at byte \\d+: damaged chunk`, 'm'));
  assert.equal(run.said.damages, '2');
  assert.deepEqual((await inspect(server.data, '--quick')).said.damages, '0');
  await server.again();
  const lines = await raw(server, '');
  assert.equal(lines.filter((line) => /damaged at byte/.test(line.warning)).length, 1);
  assert.ok(lines.length > 200 * 120 / 2);
});

test('inspect wants a data directory', async () => {
  assert.equal((await weir(['inspect'])).code, 2);
  assert.equal((await weir(['inspect', '/nonexistent'])).code, 1);
  const empty = await weir(['inspect', tempDir()]);
  assert.equal(empty.code, 1);
  assert.match(empty.stderr, /no data directory/);
  assert.match((await weir(['inspect', '--help'])).stdout, /bytes_per_point/);
});

test('raw messages go by age once the series have them', async (t) => {
  const server = await serve(t, { args: [...sealing, '--set', 'retention.raw_s=1',
    '--set', 'series.head_age_s_max=1'] });
  for (let body = 0; body < 300; body++) await push(server, body);
  await until(async () => await metric(server, 'weir_journal_trimmed_total') >= 2, 'trimming', 20e3);
  await until(() => segments(server, '.sealed').length === 0, 'the rest to go', 20e3);
  const query = await server.get(`/api/v1/query?metric=temperature&from=0&to=${t0 * 2}`);
  assert.equal(query.json().series.flatMap((one) => one.points).length, 300 * 120);
  await server.kill9();
  await server.again();
  const again = await server.get(`/api/v1/query?metric=temperature&from=0&to=${t0 * 2}`);
  assert.equal(again.json().series.flatMap((one) => one.points).length, 300 * 120);
  assert.match(server.log, /ready/);
});

test('raw messages go by bytes; what the series do not have stays', async (t) => {
  const server = await serve(t, { args: [...small, '--set', 'retention.raw_bytes=2MiB',
    '--set', 'journal.seal=no'] });
  const bodies = 400;
  for (let body = 0; body < bodies; body++) await push(server, body);
  const kept = segments(server, '.seg').filter((name) => !name.startsWith('spare')).length;
  assert.ok(kept >= 4, `the series have nothing yet: all ${kept} stay`);
  await server.kill9();
  await server.again([...small, '--set', 'retention.raw_bytes=2MiB', '--set',
    'journal.seal=no', '--set', 'series.head_age_s_max=1']);
  await until(async () => await metric(server, 'weir_journal_segments') <= 2, 'trimming', 20e3);
  const query = await server.get(`/api/v1/query?metric=temperature&from=0&to=${t0 * 2}`);
  assert.equal(query.json().series.flatMap((one) => one.points).length, bodies * 120);
});

test('disk_bytes_max: what holds raw messages back is stored early, so that they can go',
  async (t) => {
    const server = await serve(t, { args: [...small, '--set', 'retention.disk_bytes_max=16MiB',
      '--set', 'journal.seal=no'] });
    for (let i = 0; i < 800; i++) {
      const lines = Array.from({ length: 1000 },
        (_, n) => `m,device=d${n} v=${i} ${t0 + i}`).join('\n');
      await until(async () =>
        (await server.post('/write?precision=ms', lines)).status === 204, 'room', 20e3);
    }
    assert.ok(await metric(server, 'weir_journal_trimmed_total') > 0);
    assert.match(server.log, /disk_filling.*above_percent=95/);
    const query = await server.get(`/api/v1/query?metric=m.v&device=d1&from=0&to=${t0 * 2}`);
    assert.equal(query.json().series[0].points.length, 800);
    await server.kill9();
    await server.again();
    const again = await server.get(`/api/v1/query?metric=m.v&device=d1&from=0&to=${t0 * 2}`);
    assert.equal(again.json().series[0].points.length, 800);
  });

test('disk_bytes_max: 503 while nothing may go, 204 again when something may', async (t) => {
  const slow = ['--set', 'retention.look_s=1h', '--set', 'journal.segment_bytes=1MiB'];
  const server = await serve(t, { args: [...slow, '--set', 'retention.disk_bytes_max=5MiB',
    '--set', 'journal.seal=no'] });
  let refused;
  for (let i = 0; i < 3000 && !refused; i++) {
    const lines = Array.from({ length: 200 }, (_, n) => `m,device=d${n} v=${i} ${t0 + i}`).join('\n');
    const answer = await server.post('/write?precision=ms', lines);
    if (answer.status !== 204) refused = answer;
  }
  assert.equal(refused?.status, 503, refused?.text);
  assert.ok(Number(refused.headers['retry-after']) > 0);
  assert.equal((await server.get('/api/v1/query?metric=m.v&device=d1&from=0')).status, 200);
  await server.kill9();
  await server.again([...small, '--set', 'retention.disk_bytes_max=5MiB', '--set',
    'journal.seal=no', '--set', 'series.head_age_s_max=1']);
  await until(async () =>
    (await server.post('/write?precision=ms', `m,device=d v=1 ${t0}`)).status === 204,
  'room', 20e3);
});
