import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  parseBindingLabel,
  parseRequestedApplication,
  requestedApplications,
  withoutChannels,
} from '../../src/sdp/requested-application.ts';
import type { DataChannelStream } from '../../src/sdp/types.ts';

const stream = (streamId: number, label = ''): DataChannelStream => ({
  streamId,
  label,
  subprotocol: '',
  ordered: true,
  priority: 256,
  dcsa: [],
});
const UE = (streamId: number) => ({ streamId, endpoint: 'UE' as const });
const SERVER = (streamId: number) => ({ streamId, endpoint: 'SERVER' as const });

const FORMS: [string, object][] = [
  ['10000005;adc-stream-id-endpoint=1000-UE,1002-UE', { applicationId: '10000005', channels: [UE(1000), UE(1002)] }],
  ['10000006;adc-stream-id-endpoint=1000-Server', { applicationId: '10000006', channels: [SERVER(1000)] }],
  ['app-id=a.b.c; plmn-id=46000; 1000:ue', { applicationId: 'a.b.c', plmnId: '46000', channels: [UE(1000)] }],
  ['applicationId:"x" 460-01 1000/SERVER', { applicationId: 'x', plmnId: '460-01', channels: [SERVER(1000)] }],
  ['urn:example:app,1000UE,1001SERVER', { applicationId: 'urn:example:app', channels: [UE(1000), SERVER(1001)] }],
  ['46000;1000-UE', { applicationId: '46000', channels: [UE(1000)] }],
  ['7;app-dc-status=active;1000-UE', { applicationId: '7', channels: [UE(1000)] }],
  ['7;1000-UE,1000-Server', { applicationId: '7', channels: [UE(1000)] }],
  ['7', { applicationId: '7', channels: [] }],
];
for (const [text, expected] of FORMS) {
  test(`read from '${text}'`, () => {
    assert.deepEqual(parseRequestedApplication(text), { ...expected, boundBy: 'attribute' });
  });
}

test('without an application id there is no binding', () => {
  for (const text of ['', ';;', '1000-UE', 'app-dc-status=active', 'x=y']) {
    assert.equal(parseRequestedApplication(text), undefined, text);
  }
});

const LABELS: [string, [string, string] | undefined][] = [
  ['local_10000005_1_draw', ['10000005', 'UE']],
  ['local_10000005_0_menu', ['10000005', 'SERVER']],
  ['remote_10000005_2_news', ['10000005', 'SERVER']],
  ['10000005_1_draw', ['10000005', 'UE']],
  ['10000005_p2a_menu', ['10000005', 'SERVER']],
  ['com_example_app_1_a_b', ['com_example_app', 'UE']],
  ['local_10000005_9_draw', undefined],
  ['local_10000005', undefined],
  ['draw', undefined],
  ['', undefined],
];
for (const [label, expected] of LABELS) {
  test(`label '${label}'`, () => {
    const binding = parseBindingLabel(label);
    assert.deepEqual(binding && [binding.applicationId, binding.endpoint], expected);
  });
}

test('labels bind the application streams that no attribute names', () => {
  const notes: string[] = [];
  const streams = [
    stream(100, 'x_1_bootstrap'),
    stream(1000, 'a_1_x'),
    stream(1001, 'a_1_y'),
    stream(1002, 'b_0_z'),
    stream(1003),
  ];
  assert.deepEqual(requestedApplications(['c;1000-Server'], streams, notes), [
    { applicationId: 'c', channels: [SERVER(1000)], boundBy: 'attribute' },
    { applicationId: 'a', channels: [UE(1001)], boundBy: 'label' },
    { applicationId: 'b', channels: [SERVER(1002)], boundBy: 'label' },
  ]);
  assert.deepEqual(notes, []);
});

test('an attribute without streams takes those that are left, the label tells where they end', () => {
  const notes: string[] = [];
  assert.deepEqual(requestedApplications(['a', ';'], [stream(1000, 'a_0_x'), stream(1001)], notes), [
    { applicationId: 'a', channels: [SERVER(1000), UE(1001)], boundBy: 'attribute' },
  ]);
  assert.deepEqual(notes, ["3gpp-req-app ';' names no application"]);
});

describe('a binding without the streams 1002 and 1004', () => {
  for (const [text, expected] of [
    ['a;adc-stream-id-endpoint=1000-UE,1002-UE,1006-Server', 'a;adc-stream-id-endpoint=1000-UE,1006-Server'],
    ['a;adc-stream-id-endpoint=1002-UE,1000-UE;app-dc-status=x', 'a;adc-stream-id-endpoint=1000-UE;app-dc-status=x'],
    ['adc-stream-id-endpoint="1000-UE","1002-UE";app-id=a', 'adc-stream-id-endpoint="1000-UE";app-id=a'],
    ['a;1000-UE;1002-UE;1006-UE', 'a;1000-UE;1006-UE'],
    ['a,1002UE,1001SERVER', 'a,1001SERVER'],
    ['a b=1002-UE b=1000-UE', 'a b=1002-UE b=1000-UE'],
    ['a;adc-stream-id-endpoint=1002-UE;adc-stream-id-endpoint=1000-UE', 'a;adc-stream-id-endpoint=1000-UE'],
    ['a;adc-stream-id-endpoint=1000-UE', 'a;adc-stream-id-endpoint=1000-UE'],
    ['a;adc-stream-id-endpoint=1002-UE,1004-UE', undefined],
    ['a', 'a'],
    [';', ';'],
  ] as const) {
    test(text, () => {
      assert.equal(
        withoutChannels(text, (id) => id !== 1002 && id !== 1004),
        expected,
      );
    });
  }
});
