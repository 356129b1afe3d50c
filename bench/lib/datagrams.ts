import { readFileSync } from 'node:fs';

/** Datagrams that this machine has thrown away so far because the socket they were for was full. */
export function droppedDatagrams(): number {
  const [names = [], values = []] = readFileSync('/proc/net/snmp', 'latin1')
    .split('\n')
    .filter((line) => line.startsWith('Udp:'))
    .map((line) => line.split(' '));
  return Number(values[names.indexOf('RcvbufErrors')] ?? 0);
}
