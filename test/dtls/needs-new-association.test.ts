import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type AssociationSide,
  type NegotiatedAssociation,
  needsNewAssociation,
} from '../../src/dtls/needs-new-association.ts';

const side = (name: string, more: Partial<AssociationSide> = {}): AssociationSide => ({
  tlsId: `${name}-tls-id-0123456789`,
  fingerprints: [{ algorithm: 'SHA-256', value: name }],
  address: '192.0.2.1',
  port: 4000,
  ...more,
});

/** What may change from one exchange to the next, and how it is put into the second one. */
const CHANGES = {
  tlsId: (s: AssociationSide): AssociationSide => ({
    ...s,
    tlsId: s.tlsId === undefined ? undefined : `${s.tlsId}-new`,
  }),
  fingerprint: (s: AssociationSide): AssociationSide => ({
    ...s,
    fingerprints: [{ algorithm: 'SHA-256', value: 'new' }],
  }),
  address: (s: AssociationSide): AssociationSide => ({ ...s, address: '192.0.2.99' }),
  port: (s: AssociationSide): AssociationSide => ({ ...s, port: 4999 }),
};
type Change = keyof typeof CHANGES;
const changes = Object.keys(CHANGES) as Change[];

function subsets<T>(items: readonly T[]): T[][] {
  return items.reduce<T[][]>((all, item) => all.concat(all.map((set) => [...set, item])), [[]]);
}

// conformance: R12 — new association: tls-id, fingerprints, roles, or (without usable tls-id) transport
test('the whole truth table: who has a tls-id, who has ICE, what changed on which side, whether roles turned', () => {
  let rows = 0;
  let fresh = 0;
  for (const haveTlsId of subsets(['local', 'remote'] as const)) {
    for (const ice of [false, true]) {
      for (const turned of [false, true]) {
        for (const changedLocal of subsets(changes)) {
          for (const changedRemote of subsets(changes)) {
            const start = (name: 'local' | 'remote') =>
              side(name, haveTlsId.includes(name) ? {} : { tlsId: undefined });
            const apply = (s: AssociationSide, which: Change[]) => which.reduce((t, change) => CHANGES[change](t), s);
            const before: NegotiatedAssociation = {
              local: start('local'),
              remote: start('remote'),
              localRole: 'active',
              ice,
            };
            const after: NegotiatedAssociation = {
              local: apply(before.local, changedLocal),
              remote: apply(before.remote, changedRemote),
              localRole: turned ? 'passive' : 'active',
              ice,
            };
            const any = (change: Change) => changedLocal.includes(change) || changedRemote.includes(change);
            const tlsIdChanged =
              (changedLocal.includes('tlsId') && haveTlsId.includes('local')) ||
              (changedRemote.includes('tlsId') && haveTlsId.includes('remote'));
            const bothHaveTlsId = haveTlsId.length === 2;
            const expected =
              tlsIdChanged ||
              any('fingerprint') ||
              turned ||
              (!bothHaveTlsId && !ice && (any('address') || any('port')));
            const reason = needsNewAssociation(before, after);
            const row = JSON.stringify({ haveTlsId, ice, turned, changedLocal, changedRemote });
            assert.equal(reason !== undefined, expected, row);
            rows++;
            if (expected) fresh++;
          }
        }
      }
    }
  }
  assert.equal(rows, 4 * 2 * 2 * 16 * 16);
  assert.ok(fresh > 0 && fresh < rows);
});

const same = (more: Partial<NegotiatedAssociation> = {}): NegotiatedAssociation => ({
  local: side('local'),
  remote: side('remote'),
  localRole: 'active',
  ice: false,
  ...more,
});

test('the reason is the first that holds', () => {
  const both = { tlsId: 'y'.repeat(20), fingerprints: [] };
  assert.equal(needsNewAssociation(same(), same({ remote: side('remote', both) })), 'tlsId');
  assert.equal(needsNewAssociation(same(), same({ remote: side('remote', { fingerprints: [] }) })), 'fingerprint');
  assert.equal(needsNewAssociation(same(), same({ localRole: 'passive' })), 'role');
  const old = same({ remote: side('remote', { tlsId: undefined }) });
  const moved = same({ remote: side('remote', { tlsId: undefined, port: 1 }) });
  assert.equal(needsNewAssociation(old, moved), 'transport');
});

// conformance: RFC 8842 5.3 — a pure re-INVITE with the same tls-id keeps the association, also from a new address
test('with a tls-id on both sides a new address keeps the association', () => {
  assert.equal(
    needsNewAssociation(same(), same({ remote: side('remote', { address: '192.0.2.7', port: 9 }) })),
    undefined,
  );
});

test('a tls-id that appears is new; one that disappears leaves the judgement to the transport', () => {
  const without = same({ remote: side('remote', { tlsId: undefined }) });
  assert.equal(needsNewAssociation(without, same()), 'tlsId');
  assert.equal(needsNewAssociation(same(), without), undefined);
  assert.equal(
    needsNewAssociation(same(), same({ remote: side('remote', { tlsId: undefined, port: 9 }) })),
    'transport',
  );
});

test('the order of fingerprints does not matter', () => {
  const [a, b] = [
    { algorithm: 'SHA-256', value: 'A' },
    { algorithm: 'SHA-256', value: 'B' },
  ];
  const before = same({ remote: side('remote', { fingerprints: [a, b] }) });
  assert.equal(needsNewAssociation(before, same({ remote: side('remote', { fingerprints: [b, a] }) })), undefined);
});
