/**
 * What one UDP datagram on a media port is, by its first octet (RFC 7983 7, as updated by RFC 9443).
 *
 * ```text
 *              +----------------+
 *              |        [0..3] -+--> STUN
 *              |      [16..19] -+--> ZRTP          other
 *   octet 0 -->|      [20..63] -+--> DTLS
 *              |      [64..79] -+--> TURN channel  other
 *              |    [128..191] -+--> RTP/RTCP      other
 *              +----------------+
 * ```
 */
export type DatagramClass = 'stun' | 'dtls' | 'other';

export function classifyDatagram(datagram: Uint8Array): DatagramClass {
  const first = datagram[0];
  if (first === undefined) return 'other';
  if (first <= 3) return 'stun';
  return first >= 20 && first <= 63 ? 'dtls' : 'other';
}
