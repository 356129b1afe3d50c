import { entriesOf } from '../../base/dictionary.ts';
import { own } from '../../base/owned.ts';
import { attribute, isAttribute } from '../../sdp/lines.ts';
import { fromDcStreams, toDcStreams } from '../../sdp/service-mapping.ts';
import type { SessionDescription } from '../../sdp/types.ts';
import type { ProblemDetails } from '../../services/common-data.ts';
import type { MediaInstruction, MediaInstructionData } from '../../services/nimsas.ts';
import { type CallConfig, type LegName, otherLeg } from '../call/types.ts';
import { dcAsProblem, dcAsSetup, endsAtDcAs } from './dc-as.ts';
import { streamsAt } from './multiplex.ts';
import { attachOfferer } from './offer.ts';
import { conflict, incorrect } from './problems.ts';
import { lineById, newEnd } from './state.ts';
import { hasNone, joinedStreams, keptStreams } from './streams.ts';
import {
  type InstructionSpec,
  type LineEnd,
  MAX_DATA_CHANNEL_LINES,
  type MediaLine,
  type MediaState,
  NO_IDS,
  NO_STREAMS,
} from './types.ts';

/** The offer in whose barrier an instruction arrives; absent for a free-standing one. */
export interface OpenOffer {
  readonly from: LegName;
  readonly fork: number;
  readonly offer: SessionDescription;
  /** False: it has been answered with port 0, and we shall offer the lines ourselves (R18). */
  readonly isAnswerable: boolean;
}

/**
 * Executes the instructions of one message on the lines: all of them or none (stage 2 calls the result atomic), so a
 * caller that gets a problem restores its snapshot. Network-side.md 3.2.
 */
export function applyInstructions(
  media: MediaState,
  data: MediaInstructionData,
  open: OpenOffer | undefined,
  config: CallConfig,
): ProblemDetails | undefined {
  const carried = (instruction: MediaInstruction) => instruction.dcMediaSpecification?.imsdcCarriedBy !== undefined;
  // A part can join its line only once that one is anchored itself.
  const set = entriesOf(data.mediaInstructionSet).toSorted(([, a], [, b]) => Number(carried(a)) - Number(carried(b)));
  for (const [mediaId, instruction] of set) {
    const problem = apply(media, mediaId, instruction, open, config);
    if (problem !== undefined) return problem;
  }
  media.context.dirty = true;
  return undefined;
}

function apply(
  media: MediaState,
  mediaId: string,
  instruction: MediaInstruction,
  open: OpenOffer | undefined,
  config: CallConfig,
): ProblemDetails | undefined {
  const at = `/mediaInstructionSet/${mediaId}`;
  if (instruction.mediaId !== mediaId) return incorrect(`${at}/mediaId`, 'differs from its key');
  const line = lineById(media, mediaId);
  const kind = instruction.mediaInstruction;
  if (instruction.mediaResourceType !== 'DC') {
    return kind === undefined
      ? undefined
      : incorrect(`${at}/mediaResourceType`, `${instruction.mediaResourceType} cannot be instructed`);
  }
  if (kind === 'ORIGINATE_MEDIA') return originate(media, mediaId, instruction, line, open, at, config);
  if (line === undefined && instruction.dcMediaSpecification?.imsdcCarriedBy !== undefined) {
    return divide(media, mediaId, instruction, open, at, config);
  }
  if (line === undefined || line.state === 'closed' || !line.dataChannel) {
    return {
      status: 404,
      cause: 'RESOURCE_URI_STRUCTURE_NOT_FOUND',
      detail: `no data channel line ${mediaId}`,
      invalidParams: [{ param: at, reason: 'unknown mediaId' }],
    };
  }
  switch (kind) {
    case undefined:
      if (open === undefined) return undefined;
      if (line.treatment === 'pass') return keepStreams(media, line, instruction, at);
      if (line.treatment === 'undecided') line.treatment = 'pass';
      return undefined;
    case 'REJECT_MEDIA':
    case 'DELETE_MEDIA':
      if (line.treatment === 'undecided' || line.treatment === 'refused') line.treatment = 'refused';
      else if (kind === 'DELETE_MEDIA' || open === undefined) Object.assign(line, CLOSED_BY_INSTRUCTION);
      else refuseProposed(line); // The change is refused, the live line stays as it was (R17).
      return undefined;
    case 'TERMINATE_MEDIA':
      return anchor(media, line, instruction, 'terminate', open, at, config);
    case 'TERMINATE_AND_ORIGINATE_MEDIA': {
      const { mdc2EndpointDcAs, mediaProxyConfig: proxy } = instruction.dcMediaSpecification ?? {};
      // With MDC2 both legs end at the DC AS, or at the MF in front of it (AC.7.2.3).
      const isFlow = (proxy === 'UDP_PROXY' || proxy === 'UDP') && mdc2EndpointDcAs === undefined;
      return anchor(media, line, instruction, isFlow ? 'flow' : 'relay', open, at, config);
    }
    case 'UPDATE_MEDIA':
      if (line.spec === null)
        return incorrect(`${at}/mediaInstruction`, 'UPDATE_MEDIA of a line that the MF does not hold');
      line.spec = { ...line.spec, ...defined(specOf(instruction)) };
      return keepStreams(media, line, instruction, at);
    default:
      return incorrect(`${at}/mediaInstruction`, `unknown value ${kind}`);
  }
}

const CLOSED_BY_INSTRUCTION = { state: 'closing', closedBy: 'instruction' } as const;

function anchor(
  media: MediaState,
  line: MediaLine,
  instruction: MediaInstruction,
  treatment: 'terminate' | 'relay' | 'flow',
  open: OpenOffer | undefined,
  at: string,
  config: CallConfig,
): ProblemDetails | undefined {
  if (line.treatment === 'refused') return conflict(`${line.id} has been refused`);
  if (line.treatment !== 'undecided' && line.treatment !== treatment) {
    return incorrect(`${at}/mediaInstruction`, `line is ${line.treatment} already and cannot become ${treatment}`);
  }
  if (open === undefined)
    return line.treatment === treatment
      ? keepStreams(media, line, instruction, at)
      : conflict(`${line.id} waits for no decision`);
  const wasUndecided = line.treatment === 'undecided';
  line.treatment = treatment;
  line.spec = specOf(instruction);
  const problem = atDcAs(line, at);
  if (problem !== undefined) return problem;
  if (!open.isAnswerable) line.ends[line.born] ??= endToOffer(line, open.offer);
  else if (wasUndecided && !attachOfferer(media, line, line.born, open.fork, open.offer, config)) {
    return incorrect(at, 'the offered line cannot be anchored');
  }
  const far = otherLeg(line.born);
  if (treatment !== 'terminate') line.ends[far] ??= freshEnd(line, far, config.iceInOffers);
  return keepStreams(media, line, instruction, at);
}

/**
 * Some streams of an offered line get a far end of their own (Rel-19 multiplexing, R3): a part with the DCSF's name
 * for it, which the MF routes apart from the rest of that association.
 */
function divide(
  media: MediaState,
  mediaId: string,
  instruction: MediaInstruction,
  open: OpenOffer | undefined,
  at: string,
  config: CallConfig,
): ProblemDetails | undefined {
  const specification = instruction.dcMediaSpecification!;
  const where = `${at}/dcMediaSpecification`;
  if (open === undefined) return conflict('no offer is open whose streams could be divided');
  if (/^m\d+$/.test(mediaId)) return incorrect(`${at}/mediaId`, 'm<n> are ours to give; use d-<uuid>');
  const line = lineById(media, specification.imsdcCarriedBy!);
  const end =
    line?.state === 'open' && line.carriedBy === '' && line.treatment !== 'flow' && !endsAtDcAs(line)
      ? line.ends[open.from]
      : null;
  if (line === undefined || end === null) return incorrect(`${where}/imsdcCarriedBy`, 'is no line that ends at the MF');
  const kind = instruction.mediaInstruction;
  if (kind !== 'TERMINATE_MEDIA' && kind !== 'TERMINATE_AND_ORIGINATE_MEDIA') {
    return incorrect(`${at}/mediaInstruction`, 'a part of a line ends at the MF or goes through it');
  }
  const proxy = specification.mediaProxyConfig;
  const isRelay = kind === 'TERMINATE_AND_ORIGINATE_MEDIA';
  if (proxy === 'UDP_PROXY' || (isRelay && proxy === 'HTTP_PROXY')) {
    return incorrect(`${where}/mediaProxyConfig`, 'cannot carry single streams of an association');
  }
  const taken = streamsAt(media, line, open.from);
  const streams = keptStreams(line.proposed, (id) => id in specification.streams && !(id in taken));
  if (hasNone(streams)) return incorrect(`${where}/streams`, 'has none of the undecided streams');
  end.shared = true;
  const far = otherLeg(open.from);
  media.lines.push({
    id: mediaId,
    media: 'application',
    dataChannel: true,
    born: open.from,
    slots: { served: -1, remote: -1 },
    treatment: isRelay ? 'relay' : 'terminate',
    state: 'open',
    streams,
    proposed: NO_STREAMS,
    withheld: NO_IDS,
    carriedBy: line.id,
    spec: specOf(instruction),
    ends: { served: null, remote: null, ...(isRelay ? { [far]: newEnd(config.iceInOffers) } : {}) },
    failed: false,
  });
  return undefined;
}

/** A line born at the DCSF; it names the medium (R8). */
function originate(
  media: MediaState,
  mediaId: string,
  instruction: MediaInstruction,
  known: MediaLine | undefined,
  open: OpenOffer | undefined,
  at: string,
  config: CallConfig,
): ProblemDetails | undefined {
  if (known !== undefined) return incorrect(`${at}/mediaId`, 'is in use');
  if (/^m\d+$/.test(mediaId)) return incorrect(`${at}/mediaId`, 'm<n> are ours to give; use d-<uuid>');
  if (media.lines.filter((line) => line.dataChannel && line.state !== 'closed').length >= MAX_DATA_CHANNEL_LINES) {
    return {
      status: 403,
      cause: 'MODIFICATION_NOT_ALLOWED',
      detail: `the call has ${MAX_DATA_CHANNEL_LINES} data channel lines`,
    };
  }
  const towards =
    instruction.dcMediaSpecification?.imsdcTowards ?? (open === undefined ? undefined : otherLeg(open.from));
  if (towards === undefined) return incorrect(`${at}/dcMediaSpecification/imsdcTowards`, 'says not towards which leg');
  const line: MediaLine = {
    id: mediaId,
    media: 'application',
    dataChannel: true,
    born: towards,
    slots: { served: -1, remote: -1 },
    treatment: 'originate',
    state: 'open',
    streams: NO_STREAMS,
    proposed: NO_STREAMS,
    withheld: NO_IDS,
    carriedBy: '',
    spec: specOf(instruction),
    ends: { served: null, remote: null },
    failed: false,
  };
  const problem = atDcAs(line, at);
  if (problem !== undefined) return problem;
  line.ends[towards] = freshEnd(line, towards, config.iceInOffers);
  const streams = fromDcStreams(instruction.dcMediaSpecification?.streams ?? {});
  if (streams.length === 0) return incorrect(`${at}/dcMediaSpecification/streams`, 'has no stream');
  line.streams = toDcStreams(streams);
  media.lines.push(line);
  return undefined;
}

/** A line whose DTLS ends at the DC AS needs to be told who that is. */
function atDcAs(line: MediaLine, at: string): ProblemDetails | undefined {
  const problem = endsAtDcAs(line) && line.spec !== null ? dcAsProblem(line.spec) : undefined;
  if (problem === undefined) return undefined;
  return incorrect(`${at}/dcMediaSpecification/imsdcMdc2/${problem.member}`, problem.reason);
}

function freshEnd(line: MediaLine, leg: LegName, ice = false): LineEnd {
  return endsAtDcAs(line) ? { ...newEnd(), setup: dcAsSetup(line.spec, leg) } : newEnd(ice);
}

/** For a line whose peer was answered with port 0: we shall offer it in that peer's words, with ICE if it did ICE (R18). */
function endToOffer(line: MediaLine, offer: SessionDescription): LineEnd {
  const { lines } = offer.media[line.slots[line.born]]!;
  const ice = attribute(lines, 'ice-ufrag') !== undefined || offer.session.some((l) => isAttribute(l, 'ice-ufrag'));
  return { ...freshEnd(line, line.born), offered: lines.map(own), ...(ice ? { ice } : {}) };
}

/** `streams` is the set kept; those that were not offered cannot be. */
function keepStreams(
  media: MediaState,
  line: MediaLine,
  instruction: MediaInstruction,
  at: string,
): ProblemDetails | undefined {
  const kept = instruction.dcMediaSpecification?.streams;
  if (kept === undefined) return undefined;
  const { proposed } = lineById(media, line.carriedBy) ?? line;
  const offered = joinedStreams(line.streams, proposed);
  const streams = keptStreams(offered, (id) => id in kept);
  if (hasNone(streams)) return incorrect(`${at}/dcMediaSpecification/streams`, 'keeps none of the offered streams');
  line.withheld = line.treatment === 'pass' ? Object.keys(offered).filter((id) => !(id in kept)) : NO_IDS;
  line.streams = streams;
  return undefined;
}

/** What a live line was to be given besides does not come to it. */
function refuseProposed(line: MediaLine): void {
  line.withheld = line.treatment === 'pass' ? Object.keys(line.proposed) : NO_IDS;
  line.proposed = NO_STREAMS;
}

function specOf(instruction: MediaInstruction): InstructionSpec {
  const spec = instruction.dcMediaSpecification;
  return {
    proxy: spec?.mediaProxyConfig,
    replaceHttpUrls: spec?.replaceHttpUrls,
    mdc1: spec?.mdc1EndpointDcsf,
    mdc2: spec?.mdc2EndpointDcAs,
    mdc2Protocol: spec?.mdc2Protocol,
    mdc2Target: spec?.imsdcMdc2,
    applications: spec?.appBindingInfos,
  };
}

function defined(spec: InstructionSpec): Partial<InstructionSpec> {
  return Object.fromEntries(Object.entries(spec).filter(([, value]) => value !== undefined));
}
