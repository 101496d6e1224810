// The table of rights over HTTP: which route answers whom with what. One place; a test runs it.
//
// A row: [method, path, what is expected, more]. Path, body and headers may have {device} and
// {gateway}, which become those of the own, the foreign and the absent row of what is expected; a
// row with only `any` has none. Statuses stand in the order of `roles` (inhabitants.mjs):
//
//        admin developer user gateway device application subscriber none
//
// `stream`: what is a 200 or 101 does not end by itself.
import { roles } from './inhabitants.mjs';

/** What a row expects of each role. */
export const statuses = (text) => {
  const all = text.split(' ').map(Number);
  if (all.length !== roles.length) throw new Error(`${roles.length} statuses, not '${text}'`);
  return Object.fromEntries(roles.map((role, i) => [role, all[i]]));
};

// Readings of a device. Who sees only his own is told of others' as of those that are not there.
const seen = {
  own: '200 200 200 403 200 200 403 401',
  foreign: '200 200 404 403 404 200 403 401',
  absent: '200 200 404 403 404 200 403 401',
};
// Without a device each is answered with what he may see.
const some = { any: '200 200 200 403 200 200 403 401' };

// A device's views: staff, its users, and applications.
const heard = {
  own: '200 200 200 403 403 200 403 401',
  foreign: '200 200 403 403 403 200 403 401',
  absent: '200 200 403 403 403 200 403 401',
};
const heardByStaff = { any: '200 200 403 403 403 200 403 401' };

// Nobody publishes to what the server makes.
const view = {
  own: '403 403 403 403 403 403 403 401',
  foreign: '403 403 403 403 403 403 403 401',
  absent: '403 403 403 403 403 403 403 401',
};

const sse = { headers: { accept: 'text/event-stream' }, stream: true };
const socket = {
  headers: {
    connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-version': '13',
    'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
  },
  stream: true,
};
const to = (...channels) => ({ body: { channels, data: 1 } });

export const table = [
  ['GET', '/api/v1/query?metric=temp&from=0', some],
  ['GET', '/api/v1/query?metric=temp&from=0&device={device}', seen],
  ['GET', '/api/v1/query?metric=temp&from=0&tag.device={device}', seen],
  ['GET', '/api/v1/query?metric=temp&from=0&device=own&device={device}',
    { foreign: seen.foreign, absent: seen.absent }],
  ['GET', '/api/v1/query?metric=temp&from=0&device=', { absent: seen.absent }],
  ['GET', '/api/v1/raw?from=0&device=', { absent: seen.absent }],
  ['GET', '/api/v1/raw?from=0&tag.device={device}', seen],
  // Who may not see it is told so before he is told of his mistakes.
  ['GET', '/api/v1/query?device={device}&from=never',
    { own: '400 400 400 403 400 400 403 401', foreign: '400 400 404 403 404 400 403 401' }],
  ['GET', '/api/v1/latest', some],
  ['GET', '/api/v1/latest?device={device}', seen],
  ['GET', '/api/v1/series', some],
  ['GET', '/api/v1/series?metric=temp&device={device}', seen],
  ['GET', '/api/v1/raw?from=0', some],
  ['GET', '/api/v1/raw?from=0&device={device}', seen],
  ['GET', '/api/v1/events?from=0', some],
  ['GET', '/api/v1/events?from=0&device={device}', seen],
  ['GET', '/query?q=SHOW%20DATABASES', { any: '200 200 403 200 200 200 403 401' }],

  ['GET', '/api/v1/subscribe?channel=readings/{device}/%23', heard, sse],
  ['GET', '/api/v1/subscribe?channel=readings/{device}/temp', heard, sse],
  ['GET', '/api/v1/subscribe?channel=alerts/{device}', heard, sse],
  ['GET', '/api/v1/subscribe?channel=readings/%2B/temp', heardByStaff, sse],
  ['GET', '/api/v1/subscribe?channel=readings/%23', heardByStaff, sse],
  ['GET', '/api/v1/subscribe?channel=%23', heardByStaff, sse],
  ['GET', '/api/v1/subscribe?channel=readings/-/temp', heardByStaff, sse],
  ['GET', '/api/v1/subscribe?channel=readings/own/temp&channel=readings/{device}/temp',
    { foreign: heard.foreign, absent: heard.absent }, sse],
  ['GET', '/api/v1/subscribe?channel=gateways/{gateway}/%23', {
    own: '200 200 403 200 403 200 403 401',
    foreign: '200 200 403 403 403 200 403 401',
    absent: '200 200 403 403 403 200 403 401',
  }, sse],
  ['GET', '/api/v1/subscribe?channel=talk/in', { any: '200 200 403 403 403 200 200 401' }, sse],
  ['GET', '/api/v1/subscribe?channel=talk/%23', { any: '200 200 403 403 403 200 200 401' }, sse],
  ['GET', '/api/v1/subscribe?channel=talks', { any: '200 200 403 403 403 200 403 401' }, sse],

  // A WebSocket may bring its credentials later.
  ['GET', '/api/v1/subscribe', { any: '101 101 101 101 403 101 101 101' }, socket],
  ['GET', '/api/v1/subscribe?channel=readings/{device}/temp', {
    own: '101 101 101 403 403 101 403 101',
    foreign: '101 101 403 403 403 101 403 101',
    absent: '101 101 403 403 403 101 403 101',
  }, socket],

  ['POST', '/api/v1/publish', { any: '201 201 403 403 403 201 201 401' }, to('talk/in')],
  ['POST', '/api/v1/publish', { any: '201 201 403 403 403 201 403 401' }, to('talk/out')],
  ['POST', '/api/v1/publish', view, to('readings/{device}/temp')],
  ['POST', '/api/v1/publish', view, to('alerts/{device}')],
  ['POST', '/api/v1/publish', view, to('gateways/{gateway}/logs')],
  ['POST', '/api/v1/publish?channel=readings/{device}/temp', view, { body: '1' }],

  // Who may send readings at all; of which device is told item by item (10-http/gateways).
  ['POST', '/api/v1/readings', { any: '202 202 403 202 202 202 403 401' }, { body: '[]' }],
  ['POST', '/write', { any: '204 204 403 403 403 204 403 401' }, { body: '' }],
  ['POST', '/api/v2/write', { any: '204 204 403 403 403 204 403 401' }, { body: '' }],
  ['POST', '/query', { any: '200 200 403 200 200 200 403 401' },
    { body: 'q=SHOW DATABASES', headers: { 'content-type': 'application/x-www-form-urlencoded' } }],
  ['POST', '/api/v1/gateway/messages', { any: '403 403 403 202 403 403 403 401' },
    { body: '' }],
  // A gateway that may enrol: 60-admin/enrol.
  ['POST', '/api/v1/enrol/device', { any: '403 403 403 403 403 403 403 401' }, { body: {} }],

  // Of a channel that one may not see is told as of one that is not there.
  ['GET', '/api/v1/channels', { any: '200 200 200 200 403 200 200 401' }],
  ['POST', '/api/v1/channels', { any: '422 422 403 403 403 422 422 401' }, { body: { name: [] } }],
  ['GET', '/api/v1/channels/99', { any: '404 404 404 404 403 404 404 401' }],
  ['GET', '/api/v1/channels/99/presence', { any: '404 404 404 404 403 404 404 401' }],
  ['POST', '/api/v1/channels/99/renew', { any: '404 404 403 403 403 404 404 401' }, { body: {} }],
  ['DELETE', '/api/v1/channels/99', { any: '404 404 403 403 403 404 404 401' }],
];
