import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { test } from 'node:test';
import { outdatedFiles } from '../../sipp/build.ts';
import { PAIRS } from '../../sipp/pairs/index.ts';
import { asked, invited, respond } from '../../sipp/script/callee.ts';
import { ack, establishes, expect, invite, reinvite, request } from '../../sipp/script/caller.ts';
import { tlsIds } from '../../sipp/script/check.ts';
import type { Step } from '../../sipp/script/steps.ts';
import { scenarioXml } from '../../sipp/script/xml.ts';

test('the scenarios are what the pairs say: "node sipp/build.ts" has been run', () => {
  assert.deepEqual(outdatedFiles(), []);
});

test('every pair has a name of its own, a clause, and looks at what it gets', () => {
  assert.equal(new Set(PAIRS.map(({ name }) => name)).size, PAIRS.length);
  assert.ok(PAIRS.length >= 40);
  for (const { name, conformance, uac, uas = [] } of PAIRS) {
    assert.notEqual(conformance.length, 0, name);
    const looks = [...uac, ...uas].some(
      (step) => step.kind === 'receive' && (step.checks.length > 0 || Number(step.what) >= 300),
    );
    assert.ok(looks, `${name} checks nothing`);
  }
});

test('docs/procedures.md shows every pair', () => {
  const document = readFileSync(resolve(import.meta.dirname, '../../docs/procedures.md'), 'utf8');
  const missing = PAIRS.map(({ name }) => name).filter((name) => !document.includes(`\`${name}\``));
  assert.deepEqual(missing, []);
});

/** What a scenario does, in order, without the messages themselves. */
function outline(steps: readonly Step[]): string[] {
  const xml = scenarioXml({ name: 'x', shows: '', conformance: [], uac: [], uas: steps }, 'uas');
  const found = xml.matchAll(/<recv ([^/>]+?) ?\/?>|<send(.*?)>|SIP\/2.0 (\d+) |(INVITE|ACK|BYE|INFO) \S+ SIP/g);
  return [...found].map(([, recv, send, status, method]) => recv ?? status ?? method ?? `send${send}`);
}

test('an INVITE that comes again behind 180 and 200 is passed over: SIPp alone would fail the call', () => {
  assert.deepEqual(outline([invited(), respond(180), respond(200), asked('ACK'), asked('BYE')]), [
    'request="INVITE" rrs="true"',
    'send',
    '180',
    'send retrans="500"',
    '200',
    'request="INVITE" optional="true"',
    'request="ACK"',
    // Sent once more because the 200 was.
    'request="ACK" optional="true"',
    'request="BYE"',
  ]);
});

test('the 200 of an INVITE that has its ACK is passed over, and not taken for the next one', () => {
  const steps = [invite({ body: '' }), establishes(200), ack(), reinvite(2, ''), expect(200)];
  assert.deepEqual(outline(steps), [
    'send retrans="500" start_rtd="1" start_txn="invite1"',
    'INVITE',
    'response="200" response_txn="invite1" rrs="true" rtd="1" timeout="40000"',
    'send ack_txn="invite1"',
    'ACK',
    'send retrans="500"',
    'INVITE',
    'response="200" response_txn="invite1" optional="true"',
    'response="200" timeout="40000"',
  ]);
});

test('a request that gets lost has no response: the next 200 is that of the INVITE', () => {
  const prack = request('PRACK', 2);
  const steps = [
    invite({ body: '' }),
    expect(183),
    { ...prack, lost: true },
    prack,
    expect(200),
    establishes(200),
    ack(),
  ];
  const receptions = outline([...steps, expect('BYE')]).filter((line) => line.startsWith('response='));
  assert.deepEqual(receptions, [
    'response="183" response_txn="invite1" timeout="40000"',
    'response="200" timeout="40000"',
    'response="200" response_txn="invite1" rrs="true" rtd="1" timeout="40000"',
    'response="200" response_txn="invite1" optional="true"',
  ]);
});

test('tls-ids are kept, and compared with those of before', () => {
  const before = tlsIds('known', 2);
  const steps = [expect(200, before), expect('INVITE', tlsIds('renewed', 1, before))];
  const xml = scenarioXml({ name: 'x', shows: '', conformance: [], uac: steps }, 'uac');
  const [text, twice] = [
    /assignstr assign_to="(\w+)" value="(.*)"/,
    /search_in="var" variable="(\w+)" check_it_inverse/,
  ].map((pattern) => pattern.exec(xml));
  assert.equal(text?.[2], '[$known1] [$known2] [$renewed1]');
  assert.equal(twice?.[1], text?.[1], 'what was put together is what is looked at');
  assert.match(xml, /assign_to="known,known1,known2"[\s\S]*assign_to="renewed,renewed1"/);
  for (const name of ['known2', 'renewed1', text![1]]) assert.match(xml, new RegExp(`<Reference .*\\b${name}\\b`));
});

test('one message behind a request is what SIPp repeats by itself', () => {
  assert.deepEqual(outline([asked('INFO'), respond(200), asked('BYE')]), [
    'request="INFO"',
    'send retrans="500"',
    '200',
    'request="BYE"',
  ]);
});
