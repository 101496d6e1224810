// Every route of the OpenAPI document stands in a table of rights, or in the list of those that are
// open to everybody: a new route cannot be forgotten.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { table } from '../15-rights/table.mjs';
import { table as adminTable } from '../60-admin/table.mjs';
import { serve } from '../harness.mjs';

// Nobody is asked who he is.
const open = ['GET /', 'GET /docs', 'GET /{path}', 'GET /healthz', 'GET /readyz', 'GET /version',
  'GET /ping', 'POST /ping', 'GET /api/v1/demo', 'GET /api/v1/openapi.json'];

// Who may is told there, for a row cannot say it: [route, file].
const elsewhere = new Map([
  ['GET /metrics', '60-admin/running.test.mjs'],
  ['POST /api/v1/admin/token', '60-admin/token.test.mjs'],
  ['DELETE /api/v1/admin/token', '60-admin/token.test.mjs'],
]);

/** Of the document's routes the one that a path of a table means: with the fewest parameters. */
function meant(routes, method, target) {
  const path = target.replace(/\?.*/, '');
  const fits = routes.filter((route) => {
    const [verb, pattern] = route.split(' ');
    const text = pattern.replace(/[.]/g, '\\.').replace(/\{\w+\}/g, '[^/]+');
    return verb === method && new RegExp(`^${text}$`).test(path);
  });
  return fits.sort((a, b) => a.split('{').length - b.split('{').length)[0];
}

test('every route of the document is in a table', async (t) => {
  const server = await serve(t);
  const { paths } = (await server.get('/api/v1/openapi.json')).json();
  const routes = Object.entries(paths).flatMap(([path, item]) =>
    Object.keys(item).map((method) => `${method.toUpperCase()} ${path}`));
  const asked = new Set([...table, ...adminTable].map(([method, path]) => {
    const route = meant(routes, method, path.replace(/\{\w+\}/g, 'x'));
    assert.ok(route, `a row for what is not there: ${method} ${path}`);
    return route;
  }));
  const known = new Set([...asked, ...open, ...elsewhere.keys()]);
  assert.deepEqual(routes.filter((route) => !known.has(route)), []);
  assert.deepEqual([...known].filter((route) => !routes.includes(route)), []);
  for (const route of open) {
    const [method, path] = route.split(' ');
    const { security } = paths[path][method.toLowerCase()];
    assert.deepEqual(security, [], `${route} wants credentials, so it belongs in a table`);
  }
  for (const route of routes) {
    const [method, path] = route.split(' ');
    if (paths[path][method.toLowerCase()].security.length === 0) assert.ok(open.includes(route), route);
  }
});
