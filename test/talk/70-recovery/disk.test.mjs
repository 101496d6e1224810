// A full disk: a small tmpfs in a mount namespace of its own, filled up, then freed.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { rmSync, writeFileSync, chmodSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { binary, createKey, serve, tempDir, until } from '../harness.mjs';

const flags = process.getuid() === 0 ? ['-m'] : ['-r', '-m'];
const able = spawnSync('unshare', [...flags, 'mount', '-t', 'tmpfs', 'none', '/mnt']).status === 0;
const t0 = 1_700_000_000_000;

/** A program that mounts the tmpfs over its data directory and becomes the server. */
function wrapper(dir, data, megabytes) {
  const path = join(dir, 'weir-small');
  writeFileSync(path, `#!/bin/sh
set -e
cp -a ${data} ${dir}/saved
mount -t tmpfs -o size=${megabytes}m none ${data}
cp -a ${dir}/saved/. ${data}/
rm -rf ${dir}/saved
exec ${binary} "$@"
`);
  chmodSync(path, 0o755);
  const outer = join(dir, 'weir-outer');
  writeFileSync(outer, `#!/bin/sh\nexec unshare ${flags.join(' ')} ${path} "$@"\n`);
  chmodSync(outer, 0o755);
  return outer;
}

test('a full disk: 503 with Retry-After, reads go on, recovery when space returns',
  { skip: able ? false : 'mount namespaces are not allowed here' }, async (t) => {
    const data = tempDir();
    const key = await createKey(data);
    const server = await serve(t, { data, key, binary: wrapper(tempDir(), data, 224) });
    const inside = `/proc/${server.pid}/root${data}`;
    const reserve = async () => Number((await server.get('/metrics')).text
      .match(/^weir_disk_reserve_bytes (\d+)$/m)[1]);
    const fill = (name) => {
      for (let i = 0; i < 400; i++) {
        try {
          writeFileSync(join(inside, `${name}${i}`), Buffer.alloc(1 << 20, 1));
        } catch (error) {
          assert.equal(error.code, 'ENOSPC');
          break;
        }
      }
    };
    await until(async () => await reserve() === 64 << 20, 'the reserve');
    assert.equal((await server.post('/write', `full,device=a v=1 ${t0}000000`)).status, 204);
    writeFileSync(join(inside, 'ballast'), Buffer.alloc(8 << 20, 1));
    fill('ballast');
    const big = `# ${'x'.repeat(60_000)}\n`.repeat(16);
    let acknowledged = 1;
    let refused = null;
    for (let i = 1; i < 400 && !refused; i++) {
      const answer = await server.post('/write', `${big}full,device=a v=1 ${t0 + i}000000`);
      if (answer.status === 204) acknowledged++;
      else refused = answer;
    }
    assert.equal(refused?.status, 503);
    assert.ok(Number(refused.headers['retry-after']) > 0);
    const count = async () => {
      const answer = await server.get(`/api/v1/query?metric=full.v&from=0&to=${t0 * 2}`);
      assert.equal(answer.status, 200, answer.text);
      return answer.json().series[0].points.length;
    };
    assert.equal(await count(), acknowledged, 'reads go on, nothing refused is stored');
    assert.equal((await server.get('/healthz')).status, 200);
    // What the reserve held is for the store, not for readings.
    await until(async () => await reserve() === 0, 'the reserve to be given up');
    assert.match(server.log, /reserve_given_up/);
    const kept = await server.post('/api/v1/channels', { name: 'kept', durable: true });
    assert.equal(kept.status, 201, kept.text);
    assert.equal((await server.post('/write', `${big}full,device=a v=1 1`)).status, 503);
    fill('more');
    // A durable channel is not there, or all of it is: its row, too, needs space.
    let none = null;
    for (let i = 0; i < 200 && !none; i++) {
      const made = await server.post('/api/v1/channels',
        { name: `c/${i}`, durable: true, meta: 'x'.repeat(4000) });
      if (made.status !== 201) none = [i, made];
    }
    assert.equal(none?.[1].status, 503);
    assert.equal((await server.get(`/api/v1/channels/c%2F${none[0]}`)).status, 404);
    rmSync(join(inside, 'ballast'));
    for (let i = 0; i < 400; i++) {
      rmSync(join(inside, `ballast${i}`), { force: true });
      rmSync(join(inside, `more${i}`), { force: true });
    }
    await until(async () =>
      (await server.post('/write', `back,device=a v=1 ${t0}000000`)).status === 204,
    'the server to accept again', 30_000);
    assert.equal(await reserve(), 64 << 20);
    assert.equal(await count(), acknowledged);
  });
