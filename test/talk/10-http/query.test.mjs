// Questions: latest, series, query in its shapes, CSV, and what is wrong in the address.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { assertProblem, createKey, serve, Server } from '../harness.mjs';

let server;
const t0 = 1_700_006_400_000; // a whole day
const count = 600;

before(async () => {
  server = await Server.start();
  const lines = [];
  for (let i = 0; i < count; i++)
    for (const device of ['5', '51', '6'])
      lines.push(`room,device=${device},site=north v=${i} ${t0 + i * 1000}`);
  lines.push(`odd,metric=inner,device=1 v=1 ${t0}`);
  const answer = await server.post('/write?precision=ms', lines.join('\n'));
  assert.equal(answer.status, 204, answer.text);
});
after(() => server.stop());

const get = (query, options) => server.get(`/api/v1/query?${query}`, options);
const range = `from=${t0}&to=${t0 + count * 1000}`;

test('from is inclusive, to exclusive, points ascend', async () => {
  const { series } = (await get(`metric=room.v&device=5&from=${t0}&to=${t0 + 3000}`)).json();
  assert.deepEqual(series, [{
    metric: 'room.v', tags: { device: '5', site: 'north' },
    points: [[t0, 0], [t0 + 1000, 1], [t0 + 2000, 2]],
  }]);
});

test('all series of a metric, or those of a tag', async () => {
  assert.equal((await get(`metric=room.v&${range}`)).json().series.length, 3);
  assert.equal((await get(`metric=room.v&site=north&${range}`)).json().series.length, 3);
  assert.equal((await get(`metric=room.v&site=south&${range}`)).json().series.length, 0);
});

test('limit is points per series', async () => {
  const { series } = (await get(`metric=room.v&${range}&limit=2`)).json();
  assert.deepEqual(series.map((one) => one.points.length), [2, 2, 2]);
});

test('buckets start at multiples of the step', async () => {
  const { series } = (await get(`metric=room.v&device=5&${range}&step=5m` +
    '&agg=avg,min,max,count,sum,first,last,p50,p99')).json();
  assert.deepEqual(series[0].columns,
    ['time', 'avg', 'min', 'max', 'count', 'sum', 'first', 'last', 'p50', 'p99']);
  assert.deepEqual(series[0].points[0],
    [t0, 149.5, 0, 299, 300, 44850, 0, 299, 149.5, 296.01]);
  assert.equal(series[0].points[1][0], t0 + 300_000);
  assert.equal(series[0].points.length, 2);
});

test('empty buckets are left out unless filled', async () => {
  const query = `metric=room.v&device=5&from=${t0 + 590_000}&to=${t0 + 620_000}&step=10s&agg=last`;
  const bare = (await get(query)).json().series[0].points;
  assert.deepEqual(bare, [[t0 + 590_000, 599]]);
  const nulls = (await get(`${query}&fill=null`)).json().series[0].points;
  assert.deepEqual(nulls.slice(1), [[t0 + 600_000, null], [t0 + 610_000, null]]);
  const previous = (await get(`${query}&fill=previous`)).json().series[0].points;
  assert.deepEqual(previous.slice(1), [[t0 + 600_000, 599], [t0 + 610_000, 599]]);
});

test('what only a later version will know is refused, not ignored', async () => {
  for (const later of ['match=device%3D~%225.*%22', 'tz=Europe/Lisbon'])
    assertProblem(await get(`metric=room.v&${range}&${later}`), 400);
});

test('a tag named like a parameter is asked for as tag.NAME', async () => {
  const { series } = (await get(`metric=odd.v&tag.metric=inner&from=0&to=${t0 * 2}`)).json();
  assert.equal(series.length, 1);
  assert.deepEqual(series[0].tags, { device: '1', metric: 'inner' });
});

test('CSV on request', async () => {
  const answer = await get(`metric=room.v&device=5&from=${t0}&to=${t0 + 2000}`,
    { headers: { accept: 'text/csv' } });
  assert.match(answer.headers['content-type'], /^text\/csv/);
  assert.deepEqual(answer.text.trim().split(/\r?\n/), [
    'metric,device,site,time,value', `room.v,5,north,${t0},0`, `room.v,5,north,${t0 + 1000},1`,
  ]);
});

// From head or files, from memory or read anew, by a loop or a worker: it must not show.
test('an answer is the same however often and wherever it is asked', async (t) => {
  const long = await serve(t);
  const points = Array.from({ length: 30_000 }, (_, i) => [t0 + i * 1000, (i % 700) / 10 - 20]);
  const body = ['1', '2'].flatMap((device) =>
    points.map(([time, value]) => `hall,device=${device} v=${value} ${time}`));
  assert.equal((await long.post('/write?precision=ms', body.join('\n'))).status, 204);
  const averages = points.reduce((hours, [time, value]) => {
    const hour = time - (time % 3_600_000);
    const [sum, n] = hours.get(hour) ?? [0, 0];
    return hours.set(hour, [sum + value, n + 1]);
  }, new Map());
  const one = `/api/v1/query?metric=hall.v&from=${t0}&to=${t0 + 30_000_000}&device=2`;
  const csv = { headers: { accept: 'text/csv' } };
  const lines = (rows) => rows.map(([time, value]) => `hall.v,2,${time},${value}\n`).join('');
  for (const start of ['head', 'files']) {
    for (let i = 0; i < 3; i++) {
      const few = (await long.get(`${one}&limit=7`)).json().series;
      assert.deepEqual(few.map((s) => s.points), [points.slice(0, 7)], start);
      const all = (await long.get(one)).json().series;
      assert.deepEqual(all.map((s) => s.points), [points], start);
      const text = (await long.get(`${one}&limit=2000`, csv)).text;
      assert.equal(text, `metric,device,time,value\n${lines(points.slice(0, 2000))}`, start);
      assert.equal((await long.get(one, csv)).text.length,
        `metric,device,time,value\n${lines(points)}`.length, start);
      const both = (await long.get(`${one.replace('&device=2', '')}&step=1h`)).json().series;
      assert.deepEqual(both.map((s) => s.tags.device), ['1', '2'], start);
      const hours = (await long.get(`${one}&step=1h`)).json().series[0].points;
      assert.deepEqual(both[1].points, hours, start);
      assert.deepEqual(hours.map(([time]) => time), [...averages.keys()], start);
      for (const [time, value] of hours) {
        const [sum, n] = averages.get(time);
        assert.ok(Math.abs(value - sum / n) < 1e-9, `${start} ${time} ${value}`);
      }
    }
    await long.stop();
    await long.again();
  }
});

// Many series are read by two workers; long answers go out in pieces as they are made.
test('many series come in order, few points or many', async (t) => {
  const many = await serve(t);
  const devices = Array.from({ length: 200 }, (_, i) => `${1000 + i}`);
  const fill = async (metric, count) => {
    for (let i = 0; i < devices.length; i += 20) {
      const lines = devices.slice(i, i + 20).flatMap((device) => Array.from({ length: count },
        (_, k) => `${metric},device=${device} v=${Number(device) % 100}.${k % 10} ${t0 + k * 1000}`));
      assert.equal((await many.post('/write?precision=ms', lines.join('\n'))).status, 204);
    }
  };
  await fill('few', 30);
  await fill('much', 1500);
  const value = (device, k) => Number(`${Number(device) % 100}.${k % 10}`);
  for (let i = 0; i < 3; i++) {
    for (const [metric, count] of [['few', 30], ['much', 1500]]) {
      const query = `/api/v1/query?metric=${metric}.v&from=${t0}&to=${t0 + 2_000_000}`;
      const { series } = (await many.get(query)).json();
      assert.deepEqual(series.map((s) => s.tags.device), devices);
      for (const { tags, points } of series) {
        assert.equal(points.length, count);
        for (const [k, [time, number]] of points.entries())
          assert.ok(time === t0 + k * 1000 && number === value(tags.device, k), tags.device);
      }
      const { text } = await many.get(`${query}&step=1h&agg=count,max`,
        { headers: { accept: 'text/csv' } });
      const hour = t0 - (t0 % 3_600_000);
      assert.equal(text, `metric,device,time,count,max\n${devices.map((device) =>
        `${metric}.v,${device},${hour},${count},${value(device, 9)}\n`).join('')}`);
    }
    if (i === 1) {
      await many.stop();
      await many.again();
    }
  }
});

test('times: RFC 3339 and relative', async () => {
  const text = new Date(t0).toISOString();
  const { series } = (await get(`metric=room.v&device=5&from=${text}&to=${t0 + 1000}`)).json();
  assert.equal(series[0].points.length, 1);
  const now = await server.post('/write', 'fresh v=1');
  assert.equal(now.status, 204);
  for (const query of ['', '&from=-15m', '&from=-1h&to=now', '&from=-7d'])
    assert.equal((await get(`metric=fresh.v${query}`)).json().series.length, 1, query);
});

for (const query of [
  'metric=a&from=yesterday', 'metric=a&to=12:00', 'metric=a&step=0', 'metric=a&step=5x&agg=avg',
  'metric=a&agg=mean&step=5m', 'metric=a&limit=-1', 'metric=a&limit=x', 'from=0',
  'metric=a&from=10&to=5', 'metric=a&fill=zero&step=1m&agg=avg',
  'metric=%zz',
]) {
  test(`a bad value in the address is 400: ${query}`, async () =>
    assertProblem(await get(query), 400));
}

test('latest gives the newest of each series', async () => {
  const { series } = (await server.get('/api/v1/latest?metric=room.v&site=north')).json();
  assert.equal(series.length, 3);
  for (const one of series) {
    assert.equal(one.time, t0 + (count - 1) * 1000);
    assert.equal(one.value, count - 1);
  }
});

test('series is a list with pages', async () => {
  const found = [];
  let cursor = '';
  do {
    const more = cursor ? `&cursor=${encodeURIComponent(cursor)}` : '';
    const page = (await server.get(`/api/v1/series?metric=room.v&limit=2${more}`)).json();
    assert.ok(page.items.length <= 2);
    found.push(...page.items);
    cursor = page.next;
  } while (cursor);
  assert.deepEqual(found.map((one) => one.tags.device).sort(), ['5', '51', '6']);
  for (const one of found)
    assert.deepEqual([one.first, one.last], [t0, t0 + (count - 1) * 1000]);
  assertProblem(await server.get('/api/v1/series?limit=0'), 400);
  assertProblem(await server.get('/api/v1/series?cursor=forged'), 400);
});

test('a metric that nobody has is an empty answer', async () => {
  assert.deepEqual((await get('metric=nobody')).json(), { series: [] });
});

test('a key without the right is 403', async () => {
  const key = await createKey(server.data, 'write');
  assertProblem(await get('metric=room.v', { key }), 403);
  const reader = await createKey(server.data, 'read');
  assert.equal((await get('metric=room.v', { key: reader })).status, 200);
  assertProblem(await server.post('/api/v1/readings', '{}', { key: reader }), 403);
});
