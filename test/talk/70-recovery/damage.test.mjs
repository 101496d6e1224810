// Restarts, torn and flipped bytes on disk.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { serve } from '../harness.mjs';

const t0 = 1_700_000_000_000;

const write = (server, n) => server.post('/write?precision=ms',
  `mark,device=d,text=marker${n}end v=${n} ${t0 + n}`);

async function values(server) {
  const answer = await server.get(`/api/v1/query?metric=mark.v&from=0&to=${t0 * 2}`);
  assert.equal(answer.status, 200, answer.text);
  return answer.json().series.flatMap((one) => one.points.map(([, v]) => v)).sort((a, b) => a - b);
}

function files(dir) {
  return readdirSync(dir).flatMap((name) => {
    const path = join(dir, name);
    const stat = statSync(path);
    return stat.isDirectory() ? files(path) : stat.isFile() ? [path] : [];
  });
}

/** Changes one byte of the text wherever the data directory holds it; how often that was. */
function damage(dir, text, change) {
  let count = 0;
  for (const path of files(dir)) {
    if (/weir\.db/.test(path)) continue;
    const bytes = readFileSync(path);
    for (let at = bytes.indexOf(text); at >= 0; at = bytes.indexOf(text, at + 1)) {
      change(bytes, at);
      writeFileSync(path, bytes);
      count++;
    }
  }
  return count;
}

const all = (count) => Array.from({ length: count }, (_, i) => i);

test('everything is there after an orderly restart, and after a crash', async (t) => {
  const server = await serve(t);
  for (let n = 0; n < 50; n++) assert.equal((await write(server, n)).status, 204);
  await server.stop();
  await server.again();
  assert.deepEqual(await values(server), all(50));
  for (let n = 50; n < 80; n++) await write(server, n);
  await server.kill9();
  await server.again();
  assert.deepEqual(await values(server), all(80));
  await server.kill9();
  await server.again();
  assert.deepEqual(await values(server), all(80), 'replaying twice changes nothing');
});

test('ids of messages rise over restarts', async (t) => {
  const server = await serve(t);
  let last = 0n;
  for (let i = 0; i < 4; i++) {
    const answer = await server.post('/api/v1/publish', { channels: ['a/b'], data: i });
    assert.equal(answer.status, 201, answer.text);
    const id = BigInt(answer.json().id.slice(1));
    assert.ok(id > last);
    last = id;
    if (i % 2) await server.stop();
    else await server.kill9();
    await server.again();
  }
});

test('a torn last record is dropped, everything before it is served', async (t) => {
  const server = await serve(t);
  for (let n = 0; n < 20; n++) await write(server, n);
  await server.kill9();
  assert.ok(damage(server.data, 'marker19end', (bytes, at) => bytes.fill(0, at)) > 0);
  await server.again();
  assert.deepEqual(await values(server), all(19));
  assert.equal((await write(server, 20)).status, 204);
  await server.kill9();
  await server.again();
  assert.deepEqual(await values(server), [...all(19), 20]);
});

test('a flipped bit in the journal is detected, reported, and not served', async (t) => {
  const server = await serve(t);
  for (let n = 0; n < 20; n++) await write(server, n);
  await server.kill9();
  assert.ok(damage(server.data, 'marker7end', (bytes, at) => (bytes[at + 6] ^= 1)) > 0);
  await server.again();
  assert.match(server.log, /damage|corrupt|checksum|crc/i);
  const found = await values(server);
  assert.ok(!found.includes(6) || !found.includes(7));
  for (const v of found) assert.ok(v < 20 && v !== 7);
  const series = (await server.get('/api/v1/series?metric=mark.v&limit=1000')).json().items;
  assert.ok(series.every((one) => /^marker\d+end$/.test(one.tags.text)));
});

test('a flipped bit in a part is a warning in the answer, the rest is served', async (t) => {
  const server = await serve(t);
  const lines = [];
  for (let n = 0; n < 5000; n++) lines.push(`part,device=p v=${Math.sqrt(n)} ${t0 + n}`);
  assert.equal((await server.post('/write?precision=ms', lines.join('\n'))).status, 204);
  await server.stop();
  const parts = files(server.data).filter((path) => /part/.test(path) && !/weir\.db/.test(path));
  assert.ok(parts.length > 0, 'SIGTERM flushes heads to parts');
  for (const path of parts) {
    const bytes = readFileSync(path);
    bytes[bytes.length >> 2] ^= 0x10;
    writeFileSync(path, bytes);
  }
  await server.again();
  const answer = await server.get(`/api/v1/query?metric=part.v&from=0&to=${t0 * 2}`);
  if (answer.status === 200) {
    const { series, warnings } = answer.json();
    for (const [time, value] of series.flatMap((one) => one.points))
      assert.equal(value, Math.sqrt(time - t0));
    assert.ok(warnings?.length > 0 || /damage|corrupt|checksum|crc/i.test(server.log));
  } else {
    assert.equal(answer.status, 500);
  }
  assert.equal((await server.get('/healthz')).status, 200);
});
