import { randomBytes, randomInt } from 'node:crypto';
import { TypedEmitter } from '../base/emitter.ts';
import { IdMint } from '../base/ids.ts';
import { silentLogger } from '../base/log.ts';
import { Metrics } from '../base/metrics.ts';
import { RealTimers } from '../base/timers.ts';
import { createCertificate } from '../dtls/certificate.ts';
import { mintTlsId } from '../dtls/tls-id.ts';
import { type ParsedMessage, parseUri } from '../sip/index.ts';
import { hostPort, SipEndpoint } from '../sip/transport/index.ts';
import type { ServerKey } from '../sip/types.ts';
import { BootstrapClient } from './bootstrap/client.ts';
import { BOOTSTRAP_LINES } from './bootstrap/lines.ts';
import type { HandsetIdentity } from './bootstrap/requests.ts';
import type { CallContext, UeCall } from './call/call.ts';
import { IncomingCall } from './call/incoming.ts';
import { OutgoingCall } from './call/outgoing.ts';
import type { AnswerOptions, CallOptions } from './call/types.ts';
import { type DataAnswer, refusesOffer } from './media/answer-policy.ts';
import type { LocalEnd } from './media/data-line.ts';
import { SessionMedia } from './media/session-media.ts';
import type { UeOptions } from './options.ts';
import { type HandsetProfile, PROFILES, type ProfileName } from './profile.ts';
import { type RegistrationState, UeRegistration } from './sip/registration.ts';
import { UserAgent } from './sip/user-agent.ts';

export interface UeEvents {
  incoming: IncomingCall;
}

/** Feature tag of IMS data channels (TS 26.114 6.2.10.1, RFC 5688). */
const MULTIPLEXING_TAG = '+g.3gpp.dc-mux';
const DATA_CHANNEL_TAG = '+sip.app-subtype="webrtc-datachannel"';
/** IMS multimedia telephony (TS 24.173 5.2). */
const MMTEL_TAG = '+g.3gpp.icsi-ref="urn%3Aurn-7%3A3gpp-service.ims.icsi.mmtel"';
const DEFAULT_MAX_MESSAGE_BYTES = 65_536;
const DEFAULT_HANDSET: HandsetIdentity = { vendor: 'imsdc', model: 'UE-1', sdkVersion: '1.1' };

/**
 * An IMS data channel UE: registers, makes and takes calls, and runs bootstrap and application channels over real
 * DTLS and SCTP.
 *
 * ```ts
 * const alice = await UserEquipment.start({ identity: 'sip:alice@ims.lab', proxy: 'sip:127.0.0.1:5060' });
 * await alice.register();
 * const call = await alice.call('sip:bob@ims.lab');
 * await call.connected();
 * const list = await alice.bootstrap(call, await call.channel(0)).list();
 * await call.hangup();
 * await alice.close();
 * ```
 */
export class UserEquipment extends TypedEmitter<UeEvents> {
  readonly identity: string;
  readonly profile: HandsetProfile;
  readonly calls = new Set<UeCall>();
  readonly #options: UeOptions;
  readonly #endpoint: SipEndpoint;
  readonly #timers: RealTimers;
  readonly #agent: UserAgent;
  readonly #registration: UeRegistration;
  readonly #local: LocalEnd;
  readonly #handset: HandsetIdentity;
  #sessions = 0;

  private constructor(
    options: UeOptions,
    endpoint: SipEndpoint,
    timers: RealTimers,
    agent: UserAgent,
    local: LocalEnd,
  ) {
    super();
    this.#options = options;
    this.#endpoint = endpoint;
    this.#timers = timers;
    this.#agent = agent;
    this.#local = local;
    this.identity = options.identity;
    this.profile = PROFILES[options.profile ?? 'china-mobile'];
    this.#handset = { ...DEFAULT_HANDSET, ...options.handset };
    this.#registration = new UeRegistration({
      agent,
      identity: options.identity,
      registrar: options.registrar ?? domainOf(options.identity),
      proxy: options.proxy,
      userAgentName: this.profile.userAgent,
      contact: this.#contact(options.dataChannels !== 'never'),
    });
    agent.owner = { invite: (key, message) => this.#onInvite(key, message) };
  }

  /** Binds the SIP port and makes the UE's certificate. */
  static async start(options: UeOptions): Promise<UserEquipment> {
    const address = options.address ?? '127.0.0.1';
    const env = { nowMs: Date.now(), random: (bytes: number) => randomBytes(bytes).toString('hex') };
    const certificate = await createCertificate(env, { commonName: 'imsdc-ue' });
    const other = options.faults?.wrongFingerprint
      ? await createCertificate(env, { commonName: 'imsdc-ue' })
      : certificate;
    const log = options.log ?? silentLogger;
    const mint = new IdMint({ instance: 'ue', worker: process.pid, epoch: randomInt(36 ** 4) });
    const timers = new RealTimers();
    const endpoint = new SipEndpoint({
      listeners: [{ transport: options.transport ?? 'udp', address, port: options.port ?? 0 }],
      timers,
      ids: mint,
      log,
      metrics: new Metrics(),
    });
    await endpoint.start();
    const agent = new UserAgent({ endpoint, mint, log });
    const local: LocalEnd = {
      address,
      certificate,
      fingerprint: other.fingerprint,
      maxMessageSizeBytes: options.maxMessageSizeBytes ?? DEFAULT_MAX_MESSAGE_BYTES,
      silent: options.faults?.silentMedia ?? false,
      mintTlsId: () => mintTlsId(env),
    };
    return new UserEquipment(options, endpoint, timers, agent, local);
  }

  /** `address:port` of our SIP socket. */
  get hostPort(): string {
    const [bound] = this.#endpoint.addresses();
    return hostPort(bound!.host, bound!.port);
  }

  /** `sip:alice@127.0.0.1:40000`: where calls reach us without a registrar. */
  get contactUri(): string {
    const user = parseUri(this.identity);
    const transport = this.#options.transport === 'tcp' ? ';transport=tcp' : '';
    return `sip:${user?.kind === 'sip' ? (user.user ?? 'ue') : 'ue'}@${this.hostPort}${transport}`;
  }

  get registration(): RegistrationState {
    return this.#registration.state;
  }

  /** REGISTER with our data channel tag. Throws UE_CALL_FAILED. */
  register(expiresS = 600): Promise<RegistrationState> {
    return this.#registration.register(expiresS);
  }

  unregister(): Promise<void> {
    return this.#registration.unregister();
  }

  /** Whether we offer data channels now (TS 23.228 AC.7.0). */
  get dataChannelsAllowed(): boolean {
    const policy = this.#options.dataChannels ?? 'whenSupported';
    return policy === 'always' || (policy === 'whenSupported' && this.registration.dataChannelsSupported);
  }

  /** Sends an INVITE; wait for the outcome with `connected()`. */
  async call(target: string, options: CallOptions = {}): Promise<OutgoingCall> {
    const media = this.#media('accept');
    if (options.audio ?? true) await media.addAudio();
    if (options.bootstrap ?? this.dataChannelsAllowed) {
      for (const content of BOOTSTRAP_LINES) await media.addData(content);
    }
    const routes = this.registration.serviceRoute;
    const call = new OutgoingCall(this.#context(media), {
      target,
      identity: this.identity,
      routes,
      nextHop: this.#options.proxy ?? routes[0] ?? target,
    });
    this.#track(call);
    call.start(options);
    return call;
  }

  /** The next call that comes in, or the one that rings already. */
  async incoming(): Promise<IncomingCall> {
    for (const call of this.calls) if (call instanceof IncomingCall && call.state === 'ringing') return call;
    return this.next('incoming');
  }

  /** Answers whatever call comes next. */
  async answer(options: AnswerOptions = {}): Promise<IncomingCall> {
    const call = await this.incoming();
    await call.answer(options);
    return call;
  }

  /** HTTP of our handset, or of another family's, over one bootstrap channel of `call`. */
  async bootstrap(call: UeCall, streamId: 0 | 100, profile: ProfileName = this.profile.name): Promise<BootstrapClient> {
    return new BootstrapClient(PROFILES[profile], this.#handset, await call.channel(streamId));
  }

  /** Ends all calls and frees every socket. Does not unregister. */
  async close(): Promise<void> {
    await Promise.all([...this.calls].map((call) => call.hangup()));
    this.#registration.close();
    await this.#endpoint.close();
    this.#timers.close();
  }

  #onInvite(key: ServerKey, message: ParsedMessage): void {
    const dataAnswer = this.#options.dataAnswer ?? 'accept';
    const call = new IncomingCall(this.#context(this.#media(dataAnswer)), key, message);
    this.#track(call);
    if (refusesOffer(dataAnswer, message.body)) call.reject(488);
    else if (call.ring()) this.emit('incoming', call);
  }

  #track(call: UeCall): void {
    this.calls.add(call);
    call.on('ended', () => this.calls.delete(call));
  }

  #context(media: SessionMedia): CallContext {
    return {
      agent: this.#agent,
      media,
      contact: this.#contact(this.dataChannelsAllowed),
      userAgentName: this.profile.userAgent,
    };
  }

  #contact(withDataChannels: boolean): string {
    const multiplexing = this.#options.multiplexing ? `;${MULTIPLEXING_TAG}` : '';
    return `<${this.contactUri}>;${MMTEL_TAG}${withDataChannels ? `;${DATA_CHANNEL_TAG}${multiplexing}` : ''}`;
  }

  #media(dataAnswer: DataAnswer): SessionMedia {
    return new SessionMedia({
      local: this.#local,
      origin: {
        username: 'imsdc-ue',
        sessionId: `${Date.now()}${++this.#sessions}`,
        version: 1,
        address: this.#local.address,
      },
      answerSetup: this.#options.answerSetup ?? this.profile.answerSetup,
      dataAnswer,
      extraSessionLines: this.#options.extraSessionLines ?? [],
      extraAudioLines: this.#options.extraAudioLines ?? [],
    });
  }
}

function domainOf(identity: string): string {
  const uri = parseUri(identity);
  return uri?.kind === 'sip' ? `sip:${uri.host}` : 'sip:ims.lab';
}
