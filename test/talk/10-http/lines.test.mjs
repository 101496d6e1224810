// InfluxDB line protocol, versions 1 and 2, as agents send it.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Server } from '../harness.mjs';

let server;
before(async () => (server = await Server.start()));
after(() => server.stop());

const t0 = 1_700_000_000_000;
const write = (body, query = '', options) => server.post(`/write${query}`, body, options);

async function series(metric, more = '') {
  const answer = await server.get(`/api/v1/query?metric=${encodeURIComponent(metric)}` +
    `&from=0&to=${t0 * 2}${more}`);
  assert.equal(answer.status, 200, answer.text);
  return answer.json().series;
}

test('a metric is measurement.field, tags stay', async () => {
  const answer = await write(`cpu,host=a,core=1 load=0.5,busy=7i,up=t ${t0}000000\n`);
  assert.equal(answer.status, 204, answer.text);
  assert.equal(answer.bytes.length, 0);
  assert.deepEqual(await series('cpu.load'),
    [{ metric: 'cpu.load', tags: { core: '1', host: 'a' }, points: [[t0, 0.5]] }]);
  assert.deepEqual((await series('cpu.busy'))[0].points, [[t0, 7]]);
  assert.deepEqual((await series('cpu.up'))[0].points, [[t0, 1]]);
});

for (const [precision, factor] of Object.entries({
  ns: 1e-6, n: 1e-6, us: 1e-3, u: 1e-3, ms: 1, s: 1e3, m: 60e3, h: 3600e3,
})) {
  test(`precision ${precision}`, async () => {
    const time = 1699999200000;
    const digits = factor < 1 ? `${time}${'0'.repeat(-Math.log10(factor))}` : time / factor;
    const answer = await write(`p_${precision} v=1 ${digits}`, `?precision=${precision}`);
    assert.equal(answer.status, 204, answer.text);
    assert.deepEqual((await series(`p_${precision}.v`))[0].points, [[time, 1]]);
  });
}

test('an unknown precision is 400', async () => {
  assert.equal((await write('a v=1', '?precision=fortnight')).status, 400);
});

test('escapes, comments, blank lines, CRLF, no time', async () => {
  const body = '# note\r\n\r\nmy\\ room,the\\,place=a\\=b v=1 ' + `${t0}000000\r\n` + 'now v=2\n';
  assert.equal((await write(body)).status, 204);
  assert.deepEqual(await series('my room.v'),
    [{ metric: 'my room.v', tags: { 'the,place': 'a=b' }, points: [[t0, 1]] }]);
  assert.equal((await server.get('/api/v1/latest?metric=now.v')).json().series[0].value, 2);
});

test('v1: bad lines are named, good ones stored', async () => {
  const answer = await write(`part v=1 ${t0}000000\npart v=\npart,x v=2\npart v=4 ${t0}000001\n`);
  assert.equal(answer.status, 400);
  const { error, rejected } = answer.json();
  assert.match(error, /^partial write: .*dropped=2/);
  assert.deepEqual(rejected.map((one) => one.line), [2, 3]);
  for (const one of rejected) {
    assert.ok(one.column >= 1);
    assert.ok(one.code && one.text !== undefined);
  }
  assert.deepEqual((await series('part.v'))[0].points, [[t0, 4]]);
});

test('v2: the same in its own words', async () => {
  const good = await server.post('/api/v2/write?org=o&bucket=b&precision=s', 'two v=1 1700000000', {
    key: false, headers: { authorization: `Token ${server.key}` },
  });
  assert.equal(good.status, 204, good.text);
  const bad = await server.post('/api/v2/write?precision=s', 'two v=1 1700000001\nnonsense');
  assert.equal(bad.status, 400);
  assert.equal(bad.json().code, 'invalid');
  assert.ok(bad.json().message);
  assert.equal(bad.json().rejected[0].line, 2);
  assert.equal((await series('two.v'))[0].points.length, 2);
});

test('credentials: u and p, Basic, Bearer, Token; none is 401', async () => {
  const line = `cred v=1 ${t0}000000`;
  assert.equal((await write(line, `?u=any&p=${server.key}`, { key: false })).status, 204);
  const basic = Buffer.from(`any:${server.key}`).toString('base64');
  const headers = { authorization: `Basic ${basic}` };
  assert.equal((await write(line, '', { key: false, headers })).status, 204);
  assert.equal((await write(line, '', { key: false })).status, 401);
  assert.equal((await write(line, '?u=any&p=wrong', { key: false })).status, 401);
});

test('db, rp, bucket and org are accepted and ignored', async () => {
  assert.equal((await write(`ign v=1 ${t0}000000`, '?db=x&rp=y&consistency=all')).status, 204);
});

test('/ping answers 204', async () => {
  for (const method of ['GET', 'HEAD'])
    assert.equal((await server.request(method, '/ping', { key: false })).status, 204);
});

test('100,000 lines in one chunked body', async () => {
  const lines = [];
  for (let i = 0; i < 100_000; i++) lines.push(`many,device=m${i % 10} v=${i} ${t0 + i}000000`);
  assert.equal((await write(lines.join('\n'))).status, 204);
  const found = await series('many.v');
  assert.equal(found.length, 10);
  assert.equal(found.reduce((sum, one) => sum + one.points.length, 0), 100_000);
});

test('a line over 1 MiB is rejected, its neighbours stay', async () => {
  const big = `wide,t=${'x'.repeat(1 << 20)} v=1 ${t0}000000`;
  const answer = await write(`wide v=1 ${t0}000000\n${big}\nwide v=2 ${t0 + 1}000000\n`);
  assert.equal(answer.status, 400);
  assert.equal(answer.json().rejected[0].line, 2);
  assert.equal((await series('wide.v'))[0].points.length, 2);
});

// [what the bad line has, it]
const excess = [
  ['10,000 tags', `x${Array.from({ length: 10_000 }, (_, i) => `,t${i}=1`).join('')} v=1`],
  ['a tag value of 64 KiB', `x,t=${'v'.repeat(65_536)} v=1`],
  ['10,000 fields', `x ${Array.from({ length: 10_000 }, (_, i) => `f${i}=1`).join()}`],
  ['a tag twice', 'x,t=1,t=2 v=1'],
];
for (const [index, [what, line]] of excess.entries()) {
  test(`${what}: the line is rejected with its number, its neighbours stay`, async () => {
    const name = `excess${index}`;
    const answer = await write(`${name} v=1 1\n${line}\n${name} v=2 2000000\n`);
    assert.equal(answer.status, 400);
    assert.match(answer.json().error, /line 2\b/);
    assert.deepEqual((await series(`${name}.v`))[0].points, [[0, 1], [2, 2]]);
  });
}

test('when the connection breaks, complete lines stay', async () => {
  const raw = await server.connect();
  raw.send('POST /write HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n' +
    `Authorization: Bearer ${server.key}\r\n\r\n`);
  const body = `cut v=1 ${t0}000000\ncut v=2 ${t0 + 1}000000\ncut v=3 17000000`;
  raw.send(`${body.length.toString(16)}\r\n${body}`);
  raw.socket.end();
  await raw.ended();
  raw.close();
  for (let i = 0; ; i++) {
    const [found] = await series('cut.v');
    if (found?.points.length === 2) break;
    assert.ok(i < 500, 'the complete lines are stored');
    await new Promise((wake) => setTimeout(wake, 10));
  }
});
