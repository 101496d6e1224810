// Devices that go with their data: hidden at once, out of the files soon, also after a kill; days
// of points that have become too old; limits of times and series.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { serve, until } from '../harness.mjs';
import { local } from '../60-admin/local.mjs';

const day = 86_400_000;
const looking = ['--set', 'retention.look_s=100ms'];

/** Lines of line protocol with milliseconds. */
async function write(server, lines, status = 204) {
  const answer = await server.post('/write?precision=ms', lines);
  assert.equal(answer.status, status, answer.text);
  return answer;
}

const series = async (server, query) => {
  const answer = await server.get(query);
  assert.equal(answer.status, 200, answer.text);
  return answer.json().series;
};
const counts = async (server, metric, step = '1h') => (await series(server,
  `/api/v1/query?metric=${metric}&from=0&to=2000000000000&step=${step}&agg=count,sum`))
  .map((one) => [one.tags.device, one.points.map((row) => row[1])]);

const lines = (device, from, count, step = 1000) => Array.from({ length: count },
  (_, i) => `w,device=${device} a=${i % 7} ${from + i * step}`).join('\n');

async function erase(server, device) {
  const answer = await local(server, 'DELETE', `/api/v1/admin/devices/${device}?erase=1`);
  assert.equal(answer.status, 202, answer.text);
  return `/api/v1/admin/erasures/${answer.json().job}`;
}

const seriesDone = (server, job) => until(async () =>
  (await local(server, 'GET', job)).json().series_done !== null, 'erasing');
const allDone = (server, job) => until(async () =>
  (await local(server, 'GET', job)).json().done, 'the end of the erasure', 20_000);

test('a device goes with its data, lives on when it comes back, and stays gone', async (t) => {
  const server = await serve(t, { args: looking });
  const t0 = 1_700_006_400_000; // a full hour
  await write(server, `${lines('gone', t0, 2000)}\n${lines('kept', t0, 2000)}`);
  await server.stop();
  await server.again(); // parts, and roll-ups of the hour
  await write(server, `${lines('gone', t0 + day, 10)}\n${lines('kept', t0 + day, 10)}`);
  const both = [2000, 10];
  assert.deepEqual(await counts(server, 'w.a', '1d'), [['gone', both], ['kept', both]]);
  const job = await erase(server, 'gone');
  const kept = async () => {
    assert.deepEqual(await counts(server, 'w.a', '1d'), [['kept', both]]);
    assert.deepEqual(await series(server, '/api/v1/latest?metric=w.a&device=gone'), []);
    const raw = await server.get('/api/v1/raw?limit=100000');
    assert.ok(!raw.text.includes('gone') && raw.text.includes('kept'), 'raw');
  };
  await kept();
  await server.kill9();
  await server.again();
  await kept();
  await seriesDone(server, job);
  await kept();
  await allDone(server, job);
  assert.equal((await local(server, 'GET', job)).json().device, 'gone');
  await kept();
  await write(server, lines('gone', t0, 3));
  assert.deepEqual((await counts(server, 'w.a', '1d'))[0], ['gone', [3]]);
  await server.stop();
  await server.again();
  assert.deepEqual(await counts(server, 'w.a', '1d'), [['gone', [3]], ['kept', both]]);
});

const small = [...looking, '--set', 'journal.segment_bytes=1MiB', '--set', 'journal.seal_age_s=0',
  '--set', 'privacy.erase_hours_max=0'];

/** Texts that are nowhere else, in what device `gone` reports, beside others. */
const planted = Array.from({ length: 4 }, () => randomBytes(12).toString('hex'));

/** A file, or nothing where it was sealed or removed meanwhile. */
function read(path) {
  try {
    return readFileSync(path);
  } catch (error) {
    if (error.code === 'ENOENT') return '';
    throw error;
  }
}

/** Every file of the data directory that holds one of the texts. */
function grep(server, texts = planted) {
  return readdirSync(server.data, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.path, entry.name))
    .filter((path) => texts.some((text) => read(path).includes(text)));
}

/** Bodies of all formats, `count` times: of `kept` so many readings, of `gone` others. */
async function report(server, count) {
  const t0 = 1_700_006_400_000;
  for (let i = 0; i < count; i++) {
    const noise = randomBytes(20_000).toString('hex');
    await write(server, [`w,device=kept a=${i} ${t0 + i * 1000}`,
      `w,device=gone,place=${planted[0]} a=1,s="${planted[1]}" ${t0 + i * 1000}`,
      `w,device=kept s="${noise}" ${t0 + i * 1000}`].join('\n'));
    const item = (id, note) => ({ device: { id }, note, readings: [{ time: t0 + i * 1000, b: i }] });
    const body = [item('kept', 'x'), item('gone', planted[2]), item('kept2', 'y')];
    assert.ok((await server.post('/api/v1/readings', body)).status < 300);
    const ndjson = [item('gone', planted[3]), item('kept2', 'z')].map((one) => JSON.stringify(one));
    assert.ok((await server.post('/api/v1/readings', `${ndjson.join('\n')}\n`,
      { 'content-type': 'application/x-ndjson' })).status < 300);
  }
}

/** What is left of `report`: nothing of `gone`, everything else. */
async function checkLeft(server, count) {
  const raw = await server.get('/api/v1/raw?limit=1000000');
  for (const text of [...planted, '"gone"']) assert.ok(!raw.text.includes(text), text);
  const rows = raw.text.split('\n').filter(Boolean).map((row) => JSON.parse(row));
  assert.ok(rows.every((row) => !row.warning), raw.text.slice(0, 1000));
  assert.equal(rows.filter((row) => row.text).length, count);
  assert.equal(rows.filter((row) => row.message).length, 3 * count);
  assert.deepEqual(await counts(server, 'w.a', '1d'), [['kept', [count]]]);
  assert.deepEqual(await counts(server, 'b', '1d'), [['kept', [count]], ['kept2', [count]]]);
  const events = await server.get('/api/v1/events?from=0&limit=100000');
  assert.equal(events.text.split('\n').filter(Boolean).length, count);
  assert.ok(!events.text.includes(planted[1]));
}

test('what a device had reported is in no file any more', async (t) => {
  const server = await serve(t, { args: small });
  await report(server, 60);
  await until(() => grep(server).length >= 1, 'the texts');
  const job = await erase(server, 'gone');
  await allDone(server, job);
  const { series_done: points, raw_done: raw, state, error } =
    (await local(server, 'GET', job)).json();
  assert.ok(points > 0 && raw > 0);
  assert.deepEqual({ state, error }, { state: 'done', error: null });
  assert.deepEqual(grep(server), []);
  await checkLeft(server, 60);
  await report(server, 10);
  assert.ok(grep(server).length > 0, 'it may come back');
  const again = await erase(server, 'gone');
  await allDone(server, again);
  assert.deepEqual(grep(server), []);
});

test('killed in the middle of it, again and again, the job comes to its end', async (t) => {
  const server = await serve(t, { args: small });
  await report(server, 100);
  const job = await erase(server, 'gone');
  for (let i = 0; i < 6; i++) {
    await new Promise((done) => { setTimeout(done, 40 * i); });
    await server.kill9();
    await server.again();
  }
  await allDone(server, job);
  assert.deepEqual(grep(server), []);
  await checkLeft(server, 100);
  await server.stop();
  await server.again();
  assert.deepEqual(grep(server), []);
  await checkLeft(server, 100);
});

/** Flips a bit in the middle of a file. */
function damage(path) {
  const bytes = readFileSync(path);
  bytes[bytes.length >> 1] ^= 1;
  writeFileSync(path, bytes);
}

test('a damaged segment is told of, and does not hold up the others', async (t) => {
  const server = await serve(t, { args: small });
  const journal = join(server.data, 'journal');
  await report(server, 100);
  await until(() => readdirSync(journal).filter((name) => name.endsWith('.sealed')).length >= 3,
    'sealing');
  const segment = '0000000000000002.sealed';
  damage(join(journal, segment));
  const job = await erase(server, 'gone');
  const failed = async () => {
    const answer = (await local(server, 'GET', job)).json();
    return answer.state === 'failed' && answer;
  };
  await until(failed, 'the failure');
  const { error, done } = await failed();
  assert.ok(error.includes(segment) && /damaged/.test(error), error);
  assert.equal(done, false);
  assert.ok(existsSync(join(journal, segment)));
  assert.ok(existsSync(join(journal, '0000000000000001.sealed-2')));
  assert.match(server.log, /raw_erase_failed/);
  assert.ok(!(await server.get('/api/v1/raw?limit=1000000')).text.includes(planted[2]));
  damage(join(journal, segment)); // mended
  await server.kill9();
  await server.again();
  await allDone(server, job);
  await checkLeft(server, 100);
});

test('a damaged part is told of', async (t) => {
  const server = await serve(t, { args: [...small, '--set', 'series.partitions=1'] });
  await write(server, `${lines('gone', 1_700_006_400_000, 5000)}\n${lines('a',
    1_700_006_400_000, 5000)}`);
  await server.stop(); // the chunk of `a` is the part's first
  const folder = join(server.data, 'series');
  for (const name of readdirSync(folder)) {
    const path = join(folder, name);
    const bytes = readFileSync(path);
    bytes[100] ^= 1;
    writeFileSync(path, bytes);
  }
  await server.again();
  const job = await erase(server, 'gone');
  await until(async () => {
    const { state, error } = (await local(server, 'GET', job)).json();
    return state === 'failed' && /^part \d+ is damaged$/.test(error);
  }, 'the failure');
  assert.deepEqual(await series(server, '/api/v1/query?metric=w.a&device=gone&from=0'), []);
});

test('a job that is none is not found', async (t) => {
  const server = await serve(t);
  for (const job of ['1', '0', 'x'])
    assert.equal((await local(server, 'GET', `/api/v1/admin/erasures/${job}`)).status, 404);
});

test('points go by the day, their roll-ups stay; what comes too late is told so', async (t) => {
  const now = Date.now();
  const old = Math.floor(now / day) * day - 3 * day;
  const server = await serve(t, { args: looking });
  await write(server, `${lines('1', old, 1000)}\n${lines('1', now - 5000, 2)}`);
  assert.deepEqual(await counts(server, 'w.a'), [['1', [1000, 2]]]);
  await server.stop();
  await server.again([...looking, '--set', 'retention.points_s=2d']);
  const raw = () => series(server, `/api/v1/query?metric=w.a&from=${old}&to=${now + day}`);
  await until(async () => (await raw())[0].points.length === 2, 'retention');
  assert.deepEqual(await counts(server, 'w.a'), [['1', [1000, 2]]]);
  const late = await write(server, `w,device=1 a=1 ${old}\nw,device=1 a=1 ${now - 1}`, 400);
  assert.match(late.text, /too_old/);
  assert.deepEqual(await counts(server, 'w.a'), [['1', [1000, 3]]]);
});

test('points go by bytes; what comes below what is gone is refused, all else is shown', async (t) => {
  const now = Date.now();
  const old = Math.floor(now / day) * day - 3 * day;
  const server = await serve(t, { args: looking });
  await write(server, `${lines('1', old, 1000)}\n${lines('1', now - 5000, 2)}`);
  await server.stop();
  await server.again([...looking, '--set', 'retention.points_bytes=1']);
  const raw = async (device) => (await series(server,
    `/api/v1/query?metric=w.a&device=${device}&from=${old}&to=${now + day}`))[0]?.points ?? [];
  await until(async () => (await raw(1)).length === 2, 'retention');
  for (let life = 0; life < 2; life++) {
    const late = await write(server,
      `w,device=1 a=1 ${old + 2000 + life}\nw,device=1 a=1 ${now - 1 - life}`, 400);
    assert.deepEqual(late.json().rejected.map(({ line, code }) => [line, code]), [[1, 'too_old']]);
    assert.equal((await raw(1)).length, 3 + life);
    const item = (id) => ({ device: { id }, readings: [{ time: old + 3000 + life, 'w.a': 1 }] });
    const answer = (await server.post('/api/v1/readings', [item('1')])).json();
    assert.deepEqual([answer.accepted, answer.rejected[0].code], [0, 'too_old']);
    // Of any other device: shown, or refused.
    for (const id of ['2', '3', '4', '5', '6', '7', '8', '9']) {
      const { accepted } = (await server.post('/api/v1/readings', [item(id)])).json();
      assert.equal((await raw(id)).length, accepted * (life + 1), id);
    }
    await server.kill9();
    await server.again();
  }
});

test('new series beyond the limit are refused, old ones go on, also after a restart', async (t) => {
  const server = await serve(t, { args: ['--set', 'series.max=2', '--set', 'time.future_s=1h'] });
  await write(server, 'w,device=1 a=1,b=2 1000');
  for (let life = 0; life < 2; life++) {
    const answer = await write(server, 'w,device=1 c=1 2000\nw,device=1 a=5 3000', 400);
    assert.match(answer.text, /too_many_series/);
    assert.deepEqual(await counts(server, 'w.a', '1d'), [['1', [2]]]);
    assert.match((await write(server, `w,device=1 a=1 ${Date.now() + 2 * 3600_000}`, 400)).text,
      /out_of_time/);
    await server.stop();
    await server.again();
  }
});
