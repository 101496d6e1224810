// Who may ask for something: one of each role, in a tenant of a server of its own.
//
// `own` is the device that user, gateway and device role have; `foreign` is another's, and `absent`
// is nobody's. Whoever adds a role adds it here and a column to the tables that use it.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { local } from '../60-admin/local.mjs';

export const roles =
  ['admin', 'developer', 'user', 'gateway', 'device', 'application', 'subscriber', 'none'];

const password = 'correct-horse-battery';
const basic = (name, word) => `Basic ${Buffer.from(`${name}:${word}`).toString('base64')}`;

const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');

/** The token of a browser subscriber: `secret` is what /api/v1/admin/secrets said. */
export function subscriberToken(secret, { subscribe, publish, seconds = 600 }) {
  const exp = Math.floor(Date.now() / 1000) + seconds;
  const text = `${encode({ alg: 'HS256', typ: 'JWT', kid: secret.id })}.` +
    encode({ aud: 'weir', exp, sub: 'eve', weir: { subscribe, publish } });
  return `${text}.${createHmac('sha256', secret.secret).update(text).digest('base64url')}`;
}

/** Calls of the local administrator for one tenant; each must have the status it expects. */
export function governor(server, tenant = 'main') {
  return async (method, path, body, status) => {
    const answer = await local(server, method, `${path}?tenant=${tenant}`, body);
    assert.equal(answer.status, status ?? { POST: 201, DELETE: 204 }[method] ?? 200, answer.text);
    return answer.text && answer.json();
  };
}

export async function logIn(server, name) {
  const answer = await server.request('POST', '/api/v1/admin/token',
    { key: false, headers: { authorization: basic(name, password) } });
  assert.equal(answer.status, 200, answer.text);
  return answer.json().token;
}

/**
 * Settles a tenant: devices own and foreign (each bound to its gateway, `own` given to the user)
 * with a point each, and a reading of both in one body; one of each role.
 * { ids, gateways, headers: role → request headers, secret, call }.
 */
export async function settle(server, tenant = 'main') {
  const call = governor(server, tenant);
  const at = tenant === 'main' ? '' : `@${tenant}`;
  if (tenant !== 'main') await governor(server)('POST', '/api/v1/admin/tenants', { name: tenant });
  for (const [username, permission] of
    [['adam', 'admin'], ['dave', 'developer'], ['uma', 'user'], ['olga', 'user']])
    await call('POST', '/api/v1/admin/users', { username, password, permission });
  const gateways = {};
  const tokens = {};
  for (const whose of ['own', 'foreign']) {
    const gateway = await call('POST', '/api/v1/admin/gateways', { name: whose });
    gateways[whose] = gateway.id;
    tokens[`gateway ${whose}`] = gateway.auth;
    const device = await call('POST', '/api/v1/admin/devices', { id: whose });
    tokens[whose] = device.auth;
    await call('PUT', `/api/v1/admin/devices/${whose}/config`, { state: true });
  }
  await call('PUT', '/api/v1/admin/devices/own', { users: ['uma'], gateway: gateways.own });
  await call('PUT', '/api/v1/admin/devices/foreign', { users: ['olga'], gateway: gateways.foreign });
  const key = await call('POST', '/api/v1/admin/keys',
    { name: 'all', rights: 'read,write,publish,subscribe' });
  const secret = await call('POST', '/api/v1/admin/secrets', { name: 'pages' });
  const bearer = (token) => ({ authorization: `Bearer ${token}` });
  const headers = {
    admin: bearer(await logIn(server, `adam${at}`)),
    developer: bearer(await logIn(server, `dave${at}`)),
    user: bearer(await logIn(server, `uma${at}`)),
    gateway: { authorization: basic(`gateway-${gateways.own}${at}`, tokens['gateway own']) },
    device: { authorization: basic(`device-own${at}`, tokens.own) },
    application: bearer(key.key),
    subscriber: bearer(subscriberToken(secret, { subscribe: ['talk/#'], publish: ['talk/in'] })),
    none: {},
  };
  const world = { server, tenant, call, gateways, tokens, headers, secret,
    ask: (role, method, path, body, more) => server.request(method, path,
      { key: false, body, headers: { ...headers[role], ...more } }) };
  const written = await world.ask('application', 'POST', '/api/v1/readings', [
    { device: { id: 'own' }, readings: [{ time: 1_700_000_000_000, temp: 1 }] },
    { device: { id: 'foreign' }, readings: [{ time: 1_700_000_000_000, temp: 2 }] },
  ]);
  assert.equal(written.json().accepted, 2, written.text);
  return world;
}
