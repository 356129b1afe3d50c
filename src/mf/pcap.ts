import { isIPv6 } from 'node:net';
import type { TracedDatagram } from './engine/types.ts';

/**
 * ```text
 * file    magic a1b2c3d4, version 2.4, 0, 0, longest packet, link type 101 (raw IP); then packets
 * packet  seconds, microseconds, length here, length on the wire: u32 each; IPv4 or IPv6 header, UDP header, datagram
 * ```
 * Little-endian (draft-ietf-opsawg-pcap). The worker hands over datagrams without their headers, so these are made up
 * here: addresses and ports are true, checksums are 0, which for Wireshark means "not told".
 */
const LINK_TYPE_RAW_IP = 101;
const LONGEST_PACKET = 65_535;
const UDP = 17;
const UDP_HEADER_BYTES = 8;

export function pcapHeader(): Buffer {
  const header = Buffer.alloc(24);
  header.writeUInt32LE(0xa1b2_c3d4, 0);
  header.writeUInt16LE(2, 4);
  header.writeUInt16LE(4, 6);
  header.writeUInt32LE(LONGEST_PACKET, 16);
  header.writeUInt32LE(LINK_TYPE_RAW_IP, 20);
  return header;
}

export function pcapPacket({ atUs, datagram, local, remote, sent }: TracedDatagram): Buffer {
  const [from, to] = sent ? [local, remote] : [remote, local];
  const udp = Buffer.alloc(UDP_HEADER_BYTES);
  udp.writeUInt16BE(from.port, 0);
  udp.writeUInt16BE(to.port, 2);
  udp.writeUInt16BE(UDP_HEADER_BYTES + datagram.length, 4);
  const ip = ipHeader(from.address, to.address, UDP_HEADER_BYTES + datagram.length);
  const length = ip.length + udp.length + datagram.length;
  const record = Buffer.alloc(16);
  record.writeUInt32LE(Math.floor(atUs / 1e6) >>> 0, 0);
  record.writeUInt32LE(atUs % 1e6, 4);
  record.writeUInt32LE(length, 8);
  record.writeUInt32LE(length, 12);
  return Buffer.concat([record, ip, udp, datagram]);
}

function ipHeader(from: string, to: string, payloadBytes: number): Buffer {
  if (isIPv6(from)) {
    const header = Buffer.alloc(40);
    header.writeUInt8(0x60, 0);
    header.writeUInt16BE(payloadBytes, 4);
    header.writeUInt8(UDP, 6);
    header.writeUInt8(64, 7);
    ipv6Bytes(from).copy(header, 8);
    ipv6Bytes(to).copy(header, 24);
    return header;
  }
  const header = Buffer.alloc(20);
  header.writeUInt8(0x45, 0);
  header.writeUInt16BE(20 + payloadBytes, 2);
  header.writeUInt8(64, 8);
  header.writeUInt8(UDP, 9);
  Buffer.from(from.split('.').map(Number)).copy(header, 12);
  Buffer.from(to.split('.').map(Number)).copy(header, 16);
  return header;
}

function ipv6Bytes(address: string): Buffer {
  const groups = (text: string) => (text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16)));
  const [head = '', tail] = address.replace(/%.*$/, '').split('::');
  const [before, after] = [groups(head), groups(tail ?? '')];
  const bytes = Buffer.alloc(16);
  before.forEach((group, index) => void bytes.writeUInt16BE(group, index * 2));
  after.forEach((group, index) => void bytes.writeUInt16BE(group, 16 - (after.length - index) * 2));
  return bytes;
}
