import { createSocket } from 'node:dgram';
import { once } from 'node:events';

/** A record as the zone has it; `ttl` in seconds. */
export type DnsRecord =
  | { type: 'A'; ttl: number; address: string }
  | { type: 'AAAA'; ttl: number; groups: readonly number[] }
  | { type: 'SRV'; ttl: number; priority: number; weight: number; port: number; target: string }
  | { type: 'NAPTR'; ttl: number; order: number; preference: number; service: string; replacement: string };

const TYPES = { A: 1, AAAA: 28, SRV: 33, NAPTR: 35 } as const;
const NXDOMAIN = 3;

/** A DNS server on loopback that knows one zone (RFC 1035); `asked` lists the questions, as "TYPE name". */
export async function dnsServer(zone: Readonly<Record<string, readonly DnsRecord[]>>): Promise<{
  readonly address: string;
  readonly asked: string[];
  close(): Promise<void>;
}> {
  const asked: string[] = [];
  const socket = createSocket('udp4');
  socket.on('message', (query, from) => {
    const { name, type, end } = question(query);
    const known = zone[name];
    const kind = Object.entries(TYPES).find(([, number]) => number === type)?.[0] ?? String(type);
    asked.push(`${kind} ${name}`);
    const answers = (known ?? []).filter((record) => record.type === kind);
    const head = Buffer.from(query.subarray(0, 12));
    head.writeUInt16BE(0x8580 | (known === undefined ? NXDOMAIN : 0), 2);
    head.writeUInt16BE(1, 4);
    head.writeUInt16BE(answers.length, 6);
    head.writeUInt32BE(0, 8);
    socket.send(Buffer.concat([head, query.subarray(12, end), ...answers.map(encoded)]), from.port, from.address);
  });
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  return {
    address: `127.0.0.1:${socket.address().port}`,
    asked,
    close: () => new Promise((resolve) => socket.close(() => resolve())),
  };
}

function question(query: Buffer): { name: string; type: number; end: number } {
  const labels: string[] = [];
  let at = 12;
  for (let length = query[at]!; length > 0; length = query[at]!) {
    labels.push(query.toString('latin1', at + 1, at + 1 + length));
    at += 1 + length;
  }
  return { name: labels.join('.').toLowerCase(), type: query.readUInt16BE(at + 1), end: at + 5 };
}

function encoded(record: DnsRecord): Buffer {
  const data = dataOf(record);
  // The name is that of the question, which begins behind the header.
  const head = Buffer.from([0xc0, 12, 0, TYPES[record.type], 0, 1, 0, 0, 0, 0, 0, 0]);
  head.writeUInt32BE(record.ttl, 6);
  head.writeUInt16BE(data.length, 10);
  return Buffer.concat([head, data]);
}

function dataOf(record: DnsRecord): Buffer {
  switch (record.type) {
    case 'A':
      return Buffer.from(record.address.split('.').map(Number));
    case 'AAAA':
      return Buffer.from(record.groups.flatMap((group) => [group >> 8, group & 0xff]));
    case 'SRV':
      return Buffer.concat([words(record.priority, record.weight, record.port), domain(record.target)]);
    case 'NAPTR':
      return Buffer.concat([
        words(record.order, record.preference),
        ...['s', record.service, ''].map((text) => Buffer.from([text.length, ...Buffer.from(text)])),
        domain(record.replacement),
      ]);
  }
}

function words(...values: readonly number[]): Buffer {
  return Buffer.from(values.flatMap((value) => [value >> 8, value & 0xff]));
}

function domain(name: string): Buffer {
  const labels = name.split('.').map((label) => Buffer.from([label.length, ...Buffer.from(label)]));
  return Buffer.concat([...labels, Buffer.from([0])]);
}
