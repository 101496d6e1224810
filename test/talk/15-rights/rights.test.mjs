// Who may do what over HTTP: every row of the table for every role.
import assert from 'node:assert/strict';
import http from 'node:http';
import { after, before, test } from 'node:test';
import { assertProblem, Server, within } from '../harness.mjs';
import { roles, settle } from './inhabitants.mjs';
import { statuses, table } from './table.mjs';

let server, world;
before(async () => {
  server = await Server.start();
  world = await settle(server);
});
after(() => server.stop());

const told = (value, whose) => JSON.parse(JSON.stringify(value ?? null)
  .replaceAll('{device}', whose).replaceAll('{gateway}', world.gateways[whose] ?? 999_999));

/** The status of an answer that does not end; then the client leaves. */
function statusOf(method, path, headers) {
  return within(new Promise((done, fail) => {
    const out = http.request({ host: '127.0.0.1', port: server.port, method, path, headers, agent: false });
    const take = (answer) => {
      done(answer.statusCode);
      out.destroy();
    };
    out.on('response', take);
    out.on('upgrade', take);
    out.on('error', fail);
    out.end();
  }), `${method} ${path}`);
}

for (const [method, path, expected, more = {}] of table) {
  for (const [whose, text] of Object.entries(expected)) {
    const about = more.body?.channels ? ` ${more.body.channels}` : '';
    const by = more.headers?.upgrade ? ' (WebSocket)' : '';
    test(`${method} ${path}${about}${by}: ${whose}`, async () => {
      const must = statuses(text);
      const url = told(path, whose);
      for (const role of roles) {
        const headers = { ...world.headers[role], ...more.headers };
        const body = more.body === undefined ? undefined : told(more.body, whose);
        const status = more.stream ? await statusOf(method, url, headers)
          : (await world.ask(role, method, url, body, more.headers)).status;
        assert.equal(status, must[role], role);
      }
    });
  }
}

test('of a device one may not see and of one that is not there the same is said', async () => {
  for (const path of ['query?metric=temp&device=', 'latest?device=', 'series?device=', 'raw?device='])
    for (const role of ['user', 'device']) {
      const say = async (device) => {
        const answer = await world.ask(role, 'GET', `/api/v1/${path}${device}`);
        return assertProblem(answer, 404).detail.replaceAll(device, 'X');
      };
      assert.equal(await say('foreign'), await say('absent'));
    }
});

const own = ['own'];
const all = ['foreign', 'own'];
const sees = { admin: all, developer: all, user: own, device: own, application: all };

for (const [role, devices] of Object.entries(sees)) {
  test(`${role} is told of ${devices.join(' and ')} where no device is named`, async () => {
    const get = async (path) => (await world.ask(role, 'GET', `/api/v1/${path}`)).json();
    const names = (list) => list.map(({ tags }) => tags.device).sort();
    assert.deepEqual(names((await get('query?metric=temp&from=0')).series), devices);
    assert.deepEqual(names((await get('latest')).series), devices);
    assert.deepEqual(names((await get('series')).items), devices);
    const csv = await world.ask(role, 'GET', '/api/v1/query?metric=temp&from=0', undefined,
      { accept: 'text/csv' });
    assert.equal(csv.text.trim().split('\n').length - 1, devices.length);
    const raw = await world.ask(role, 'GET', '/api/v1/raw?from=0');
    const ids = raw.text.trim().split('\n').map((line) => JSON.parse(line).message.device.id);
    assert.deepEqual(ids.sort(), devices);
  });
}

// Whatever a question looks like, it is answered within his own.
for (const query of ['tag.device=own', 'Device=foreign', 'tag.tag.device=foreign', 'device%20=own',
  'tag.=own', '%64evice=own', 'device=own&tag.device=own', 'match=x', 'scope=all', 'user=olga']) {
  test(`user asks with ${query} in vain for the other's`, async () => {
    for (const path of ['query?metric=temp&from=0', 'latest?', 'series?', 'raw?from=0']) {
      const { status, text } = await world.ask('user', 'GET', `/api/v1/${path}&${query}`);
      assert.ok([200, 400].includes(status), text);
      if (status === 200) assert.doesNotMatch(text, /"foreign"/, path);
    }
  });
}

test('raw leaves out what is not his, in each format', async () => {
  const line = (id, value) => JSON.stringify({ device: { id }, readings: [{ time: 1, x: value }] });
  await world.ask('application', 'POST', '/api/v1/readings',
    [line('own', 31), line('foreign', 41), line('own', 32)].join('\n'),
    { 'content-type': 'application/x-ndjson' });
  await world.ask('application', 'POST', '/write?precision=ms',
    'm,device=own x=33 1\nm,device=foreign x=42 2\nm x=43 3\nm,device=own x=34 4');
  const text = (await world.ask('user', 'GET', '/api/v1/raw?from=0')).text;
  for (const value of [31, 32, 33, 34]) assert.match(text, new RegExp(`\\b${value}\\b`));
  for (const value of [41, 42, 43]) assert.doesNotMatch(text, new RegExp(`\\b${value}\\b`));
  assert.doesNotMatch(text, /foreign/);
  assert.match((await world.ask('admin', 'GET', '/api/v1/raw?from=0')).text, /foreign/);
});
