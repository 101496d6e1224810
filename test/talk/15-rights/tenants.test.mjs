// Two tenants with the same devices, channels and names: neither sees or hears the other.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Events, Server } from '../harness.mjs';
import { settle } from './inhabitants.mjs';

const sides = ['main', 'blue'];
const roles = ['admin', 'user', 'application'];
const worlds = {};
let server;
const t0 = 1_700_000_000_000;

before(async () => {
  server = await Server.start();
  for (const side of sides) worlds[side] = await settle(server, side);
  for (const [i, side] of sides.entries()) {
    const written = await worlds[side].ask('application', 'POST', '/write?precision=ms',
      `${side},device=own only=${i} ${t0}\nboth,device=own v=${100 + i} ${t0}\nboth v=${200 + i} ${t0}`);
    assert.equal(written.status, 204, written.text);
  }
});
after(() => server.stop());

const get = async (side, role, path) => {
  const answer = await worlds[side].ask(role, 'GET', `/api/v1/${path}`);
  assert.equal(answer.status, 200, answer.text);
  return answer;
};

for (const [i, side] of sides.entries()) {
  const other = sides[1 - i];

  test(`queries, newest points and lists of ${side} hold nothing of ${other}`, async () => {
    for (const role of roles) {
      const values = async (path) => (await get(side, role, path)).json().series
        .flatMap(({ points, value }) => points?.map(([, v]) => v) ?? value).sort();
      const both = role === 'user' ? [100 + i] : [100 + i, 200 + i];
      assert.deepEqual(await values('query?metric=both.v&from=0'), both, role);
      assert.deepEqual(await values('query?metric=both.v&from=0&device=own'), [100 + i]);
      assert.deepEqual(await values('latest?metric=both.v'), both, role);
      assert.deepEqual(await values(`query?metric=${other}.only&from=0`), []);
      assert.deepEqual(await values(`latest?metric=${other}.only`), []);
      const { items } = (await get(side, role, 'series?limit=1000')).json();
      assert.ok(items.some(({ metric }) => metric === `${side}.only`));
      assert.ok(!items.some(({ metric }) => metric === `${other}.only`));
    }
  });

  test(`pages of ${side} go on from ${other}'s cursor without a series of it`, async () => {
    const cursor = (await get(other, 'application', 'series?limit=1')).json().next;
    const answer = await worlds[side].ask('application', 'GET',
      `/api/v1/series?cursor=${encodeURIComponent(cursor)}`);
    assert.doesNotMatch(answer.text, new RegExp(`${other}\\.only`));
  });

  test(`raw messages of ${side} hold nothing of ${other}`, async () => {
    for (const role of roles)
      for (const query of ['from=0', 'from=0&device=own']) {
        const { text } = await get(side, role, `raw?${query}`);
        assert.match(text, new RegExp(`${side},device=own`));
        assert.doesNotMatch(text, new RegExp(`${other},device=own`));
      }
  });

  test(`a tenant is no tag: ${side} cannot ask for ${other}`, async () => {
    for (const role of roles)
      for (const path of [`query?metric=both.v&from=0&tenant=${other}`, `latest?tenant=${other}`,
        `latest?tag.tenant=${other}`])
        assert.deepEqual((await get(side, role, path)).json().series, [], path);
  });
}

test('what is reported or published in one tenant is not heard in the other', async () => {
  const streams = {};
  for (const side of sides)
    streams[side] = await Events.open(server, '/api/v1/subscribe?channel=%23',
      { key: '', headers: worlds[side].headers.application });
  const own = await Events.open(server, '/api/v1/subscribe?channel=readings/own/%23',
    { key: '', headers: worlds.blue.headers.user });
  for (const side of sides) {
    await worlds[side].ask('application', 'POST', '/write?precision=ms', `live,device=own v=1 ${t0}`);
    const said = await worlds[side].ask('application', 'POST', '/api/v1/publish',
      { channels: ['talk/in'], data: side });
    assert.equal(said.json().delivered, 1, said.text);
  }
  for (const side of sides) {
    const heard = (await streams[side].next(2)).map(({ json }) => json.data);
    assert.equal(heard[0].metric, 'live.v');
    assert.equal(heard[1], side);
    assert.equal(streams[side].list.length, 0);
    streams[side].close();
  }
  assert.equal((await own.next(1))[0].json.data.metric, 'live.v');
  assert.equal(own.list.length, 0);
  own.close();
});

test('credentials of one tenant are none in the other', async () => {
  // The same name, another tenant's token: a device and a gateway of main at blue's door.
  const { tokens, gateways } = worlds.main;
  const pairs = [['device-own', tokens.own], [`gateway-${gateways.own}`, tokens['gateway own']]];
  for (const [name, token] of pairs) {
    const authorization = `Basic ${Buffer.from(`${name}@blue:${token}`).toString('base64')}`;
    const answer = await server.get('/api/v1/latest', { key: false, headers: { authorization } });
    assert.equal(answer.status, 401);
  }
});
