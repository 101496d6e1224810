// What administration changes is known to every loop before its answer leaves. Each request comes
// on a connection of its own, so the loops take turns.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Server } from '../harness.mjs';
import { local } from './local.mjs';

const keys = '/api/v1/admin/keys';
let server;
before(async () => (server = await Server.start({ args: ['--set', 'net.loops=4'] })));
after(() => server.stop());

async function statuses(key) {
  const answers = await Promise.all(
    Array.from({ length: 8 }, () => server.get('/api/v1/series', { key })));
  return [...new Set(answers.map((answer) => answer.status))];
}

test('a key is known to every loop when its answer is there, and unknown once removed', async () => {
  for (let i = 0; i < 20; i++) {
    const made = await local(server, 'POST', keys, { name: `k${i}`, rights: ['read'] });
    assert.equal(made.status, 201, made.text);
    assert.deepEqual(await statuses(made.json().key), [200]);
    assert.equal((await local(server, 'DELETE', `${keys}/k${i}`)).status, 204);
    assert.deepEqual(await statuses(made.json().key), [401]);
  }
});

test('what was made and removed stays so after a restart', async () => {
  const made = await local(server, 'POST', keys, { name: 'stays', rights: ['read'] });
  const gone = await local(server, 'POST', keys, { name: 'goes', rights: ['read'] });
  assert.equal((await local(server, 'DELETE', `${keys}/goes`)).status, 204);
  await server.stop();
  await server.again();
  assert.deepEqual(await statuses(made.json().key), [200]);
  assert.deepEqual(await statuses(gone.json().key), [401]);
});
