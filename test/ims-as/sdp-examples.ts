/** The SDP of ue-side.md 12, written for these tests. */
const crlf = (text: string): string =>
  text
    .trim()
    .split('\n')
    .map((line) => line.trim())
    .join('\r\n') + '\r\n';

export const UE_FINGERPRINT = `SHA-256 ${Array.from({ length: 32 }, () => 'EF').join(':')}`;
export const MF_FINGERPRINT = `SHA-256 ${Array.from({ length: 32 }, () => 'BE').join(':')}`;

export const AUDIO = crlf(`
  m=audio 40000 RTP/AVP 104 101
  b=AS:41
  a=rtpmap:104 AMR-WB/16000
  a=x-unknown:kept as it is
  a=rtpmap:101 telephone-event/16000`);

export const SESSION = crlf(`
  v=0
  o=ue-a 3001 1 IN IP4 192.0.2.10
  s=-
  c=IN IP4 192.0.2.10
  t=0 0`);

export const LOCAL_BOOTSTRAP = crlf(`
  m=application 40010 UDP/DTLS/SCTP webrtc-datachannel
  b=AS:500
  a=sctp-port:5000
  a=max-message-size:65536
  a=setup:actpass
  a=fingerprint:${UE_FINGERPRINT}
  a=tls-id:8cc666959a26dc0e0237
  a=dcmap:0 subprotocol="http"
  a=dcmap:10 subprotocol="http"`);

export const SENDER_BOOTSTRAP = crlf(`
  m=application 40012 UDP/DTLS/SCTP webrtc-datachannel
  b=AS:500
  a=sctp-port:5000
  a=max-message-size:1024
  a=setup:actpass
  a=fingerprint:${UE_FINGERPRINT}
  a=tls-id:324fab2d19fb44ed8c97
  a=dcmap:100 subprotocol="http"
  a=dcmap:110 subprotocol="http"
  a=3gpp-bdc-used-by:sender`);

export const APPLICATION = crlf(`
  m=application 40020 UDP/DTLS/SCTP webrtc-datachannel
  b=AS:1000
  a=sctp-port:5000
  a=max-message-size:65536
  a=setup:actpass
  a=fingerprint:${UE_FINGERPRINT}
  a=tls-id:505a612b34853d06e66a
  a=dcmap:1000 label="local_10000005_1_draw"
  a=dcmap:1002 label="local_10000005_1_pos";ordered=false;max-time=150
  a=3gpp-req-app:10000005;adc-stream-id-endpoint=1000-UE,1002-UE
  a=3gpp-qos-hint:loss=0.01;latency=100`);

/** E1 */
export const E1 = SESSION + AUDIO + LOCAL_BOOTSTRAP + SENDER_BOOTSTRAP;
export const AUDIO_ONLY = SESSION + AUDIO;

export function section(
  port: number,
  setup: string,
  tlsId: string,
  dcmaps: readonly string[],
  extra: readonly string[] = [],
): string {
  return crlf(
    [
      `m=application ${port} UDP/DTLS/SCTP webrtc-datachannel`,
      'c=IN IP4 198.51.100.20',
      'a=sctp-port:5000',
      'a=max-message-size:2048',
      `a=setup:${setup}`,
      `a=fingerprint:${UE_FINGERPRINT}`,
      `a=tls-id:${tlsId}`,
      ...dcmaps.map((dcmap) => `a=dcmap:${dcmap}`),
      ...extra,
    ].join('\n'),
  );
}

export const ANSWER_SESSION = crlf(`
  v=0
  o=ue-b 9 1 IN IP4 198.51.100.20
  s=-
  c=IN IP4 198.51.100.20
  t=0 0`);
export const ANSWER_AUDIO = crlf(`
  m=audio 40200 RTP/AVP 104 101
  a=rtpmap:104 AMR-WB/16000
  a=y-unknown:kept too`);

/** The m-sections of an SDP text, each as it stands. */
export function sections(text: string): string[] {
  return text.split(/(?=^m=)/m).slice(1);
}

export function media(text: string): string[] {
  return sections(text).map((part) => part.split('\r\n', 1)[0]!.split(' ').slice(0, 2).join(' '));
}
