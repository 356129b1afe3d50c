import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { test } from 'node:test';
import { type Mdc2Ticket, openTicket, sealTicket } from '../../src/services/mdc2.ts';

const TICKET: Mdc2Ticket = { jti: 'a'.repeat(32), exp: 1_000, app: '1', session: 's', mode: 'P2A' };
const SECRET = 'a secret';

function jwt(header: object, payload: unknown, secret = SECRET): string {
  const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const signed = `${encode(header)}.${encode(payload)}`;
  return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`;
}

test('a ticket is a JWT that anybody can make and read who has the secret', () => {
  const sealed = sealTicket(TICKET, SECRET);
  assert.equal(sealed, jwt({ alg: 'HS256', typ: 'JWT' }, TICKET));
  assert.deepEqual(openTicket(sealed, SECRET, 999_999), TICKET);
});

test('what is no ticket of ours opens nothing, and throws nothing', () => {
  const sealed = sealTicket(TICKET, SECRET);
  const header = { alg: 'HS256', typ: 'JWT' };
  const cases: Record<string, [text: string, nowMs?: number]> = {
    empty: [''],
    'no JWT': ['abc'],
    'another secret': [sealTicket(TICKET, 'another')],
    expired: [sealed, 1_000_000],
    'cut off': [sealed.slice(0, -1)],
    'a part more': [`${sealed}.x`],
    unsigned: [`${jwt({ alg: 'none' }, TICKET).split('.').slice(0, 2).join('.')}.`],
    'another algorithm': [jwt({ alg: 'HS512', typ: 'JWT' }, TICKET)],
    'somebody else’s claims': [jwt(header, { sub: 'x' })],
    'no object': [jwt(header, null)],
    'wrong mode': [jwt(header, { ...TICKET, mode: 'X' })],
  };
  for (const [name, [text, nowMs = 0]] of Object.entries(cases)) {
    assert.equal(openTicket(text, SECRET, nowMs), undefined, name);
  }
});
