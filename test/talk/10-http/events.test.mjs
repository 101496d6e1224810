// Strings of line protocol: no series, but events; and what old agents ask before they write.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { assertProblem, Server } from '../harness.mjs';

let server;
before(async () => (server = await Server.start()));
after(() => server.stop());

const write = async (lines) =>
  assert.equal((await server.post('/write?precision=ms', lines)).status, 204);

async function events(query = '') {
  const answer = await server.get(`/api/v1/events?from=0${query}`);
  assert.equal(answer.status, 200, answer.text);
  assert.match(answer.headers['content-type'], /x-ndjson/);
  return answer.text.split('\n').filter(Boolean).map((line) => JSON.parse(line));
}

test('strings are events with metric, tags, time; numbers beside them are series', async () => {
  await write('door,device=d1,room=a state="open",count=1 1000\ndoor,device=d2 state="sh\\"ut" 2000\n');
  assert.deepEqual(await events(), [
    { time: 1000, metric: 'door.state', tags: { device: 'd1', room: 'a' }, text: 'open' },
    { time: 2000, metric: 'door.state', tags: { device: 'd2' }, text: 'sh"ut' },
  ]);
  const { items } = (await server.get('/api/v1/series?device=d1')).json();
  assert.deepEqual(items.map((one) => one.metric), ['door.count']);
});

test('they are found by metric, tag, time, limit', async () => {
  await write('f,device=e1 a="1",b="2" 10\nf,device=e2 a="3" 20\ng,device=e1 a="4" 30\n');
  const texts = async (query) => (await events(query)).map((one) => one.text);
  assert.deepEqual(await texts('&metric=f.a'), ['1', '3']);
  assert.deepEqual(await texts('&device=e1'), ['1', '2', '4']);
  assert.deepEqual(await texts('&device=e1&metric=g.a'), ['4']);
  assert.deepEqual(await texts('&to=20&metric=f.a'), ['1']);
  assert.deepEqual(await texts('&device=e1&limit=2'), ['1', '2']);
  assert.deepEqual(await texts('&device=nobody'), []);
  assertProblem(await server.get('/api/v1/events?from=never'), 400);
});

test('the same line sent again is one event; a rejected line is none; a restart keeps them', async () => {
  await write('h,device=h1 a="x" 10');
  await write('h,device=h1 a="x" 10');
  assert.equal((await server.post('/write', 'h,device=h1 a="y" x')).status, 400);
  await server.kill9();
  await server.again();
  assert.deepEqual((await events('&device=h1')).map((one) => one.text), ['x']);
});

test('old agents ask for databases and make theirs', async () => {
  const shown = await server.get('/query?q=show%20databases');
  assert.deepEqual(shown.json().results[0].series[0].values, [['weir']]);
  const form = { headers: { 'content-type': 'application/x-www-form-urlencoded' } };
  for (const body of ['q=CREATE+DATABASE+telegraf', 'db=x&q=CREATE%20DATABASE%20%22telegraf%22'])
    assert.deepEqual((await server.post('/query', body, form)).json(),
      { results: [{ statement_id: 0 }] });
  const keyed = await server.post(`/query?u=x&p=${server.key}&q=SHOW+DATABASES`, '', { key: false });
  assert.equal(keyed.status, 200, keyed.text);
  assert.equal((await server.get('/query?q=DROP%20DATABASE%20x')).status, 400);
  assert.equal((await server.get('/query?q=SHOW%20DATABASES', { key: false })).status, 401);
});
