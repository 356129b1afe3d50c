import { ImsdcError } from '../../errors.ts';
import { MessageWriter, type ParsedMessage, parseAddress, parseDeltaSeconds } from '../../sip/index.ts';
import type { UserAgent } from './user-agent.ts';

/** What the network said when it registered us. */
export interface RegistrationState {
  readonly registered: boolean;
  /** Route values for what we originate (RFC 3608). */
  readonly serviceRoute: readonly string[];
  readonly associatedUris: readonly string[];
  /** Feature-Caps named data channels: only then may we offer them (TS 23.228 AC.7.0). */
  readonly dataChannelsSupported: boolean;
  readonly expiresS: number;
}

export const UNREGISTERED: RegistrationState = {
  registered: false,
  serviceRoute: [],
  associatedUris: [],
  dataChannelsSupported: false,
  expiresS: 0,
};

/** RFC 3261 10.2.4: well before the binding ends; half of it is what IMS UEs do for short ones (TS 24.229 5.1.1.4). */
const REFRESH_SHARE = 0.5;

export interface RegistrationOptions {
  readonly agent: UserAgent;
  /** Public identity, `sip:alice@ims.lab`. */
  readonly identity: string;
  readonly registrar: string;
  readonly proxy: string | undefined;
  readonly userAgentName: string;
  /** Contact value with our feature tags. */
  readonly contact: string;
}

/** One registration that refreshes itself (RFC 3261 10.2). */
export class UeRegistration {
  readonly #options: RegistrationOptions;
  readonly #callId: string;
  readonly #fromTag: string;
  #cseq = 0;
  #refresh: NodeJS.Timeout | null = null;
  #state = UNREGISTERED;

  constructor(options: RegistrationOptions) {
    this.#options = options;
    this.#callId = options.agent.mint.next();
    this.#fromTag = options.agent.mint.next();
  }

  get state(): RegistrationState {
    return this.#state;
  }

  /** Throws UE_CALL_FAILED with the status of the refusal. */
  async register(expiresS: number): Promise<RegistrationState> {
    let response = await this.#send(expiresS);
    if (response.status === 423) {
      response = await this.#send(parseDeltaSeconds(response.first('min-expires') ?? '') ?? expiresS);
    }
    if (response.status !== 200) {
      throw new ImsdcError('UE_CALL_FAILED', { status: response.status, reason: response.reason });
    }
    this.#state = this.#read(response, expiresS);
    this.#arm();
    return this.#state;
  }

  async unregister(): Promise<void> {
    this.close();
    if (!this.#state.registered) return;
    this.#state = UNREGISTERED;
    await this.#send(0);
  }

  close(): void {
    if (this.#refresh) clearTimeout(this.#refresh);
    this.#refresh = null;
  }

  #arm(): void {
    this.close();
    const { expiresS } = this.#state;
    if (expiresS === 0) return;
    this.#refresh = setTimeout(
      () => {
        this.register(expiresS).catch((error: unknown) => {
          this.#state = UNREGISTERED;
          this.#options.agent.log.warn({ err: error }, 'registration could not be refreshed');
        });
      },
      expiresS * 1000 * REFRESH_SHARE,
    );
    this.#refresh.unref();
  }

  #send(expiresS: number): Promise<ParsedMessage> {
    const { agent, identity, registrar, proxy, contact, userAgentName } = this.#options;
    return agent.request({
      method: 'REGISTER',
      nextHop: proxy ?? registrar,
      build: (via) =>
        MessageWriter.request('REGISTER', registrar)
          .header('Via', via)
          .header('Max-Forwards', 70)
          .header('From', `<${identity}>;tag=${this.#fromTag}`)
          .header('To', `<${identity}>`)
          .header('Call-ID', this.#callId)
          .header('CSeq', `${++this.#cseq} REGISTER`)
          .header('Contact', `${contact};expires=${expiresS}`)
          .header('Supported', 'path')
          .header('User-Agent', userAgentName)
          .finish(),
    }).final;
  }

  #read(response: ParsedMessage, askedS: number): RegistrationState {
    const ours = parseAddress(this.#options.contact)?.uri;
    const binding = response
      .list('contact')
      .map((text) => parseAddress(text))
      .find((address) => address?.uri === ours);
    const expiresS =
      parseDeltaSeconds(binding?.params.get('expires') ?? '') ??
      parseDeltaSeconds(response.first('expires') ?? '') ??
      askedS;
    return {
      registered: expiresS > 0,
      serviceRoute: response.list('service-route').map((route) => route),
      associatedUris: response.list('p-associated-uri').map((text) => parseAddress(text)?.uri ?? text),
      dataChannelsSupported: response.list('feature-caps').some((text) => text.includes('webrtc-datachannel')),
      expiresS,
    };
  }
}
