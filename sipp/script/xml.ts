import { groupsOf } from './check.ts';
import { type Repeats, repeatsOf } from './repeats.ts';
import type { Check, Pair, Receive, Send, Step } from './steps.ts';

/** How long an end waits for a message that must come: longer than any transaction lasts (64 * T1). */
const RECEIVE_TIMEOUT_MS = 40_000;

/** One end of a pair as a SIPp scenario that runs with bare `sipp -sf`. */
export function scenarioXml(pair: Pair, end: 'uac' | 'uas'): string {
  const steps = (end === 'uac' ? pair.uac : pair.uas) ?? [];
  const variables = new Variables();
  const body = new Scenario(steps, variables).xml();
  const tags =
    end === 'uac' ? pair.conformance.map(([clause, what]) => `<!-- conformance: ${clause} — ${what} -->`) : [];
  return [
    '<?xml version="1.0" encoding="ISO-8859-1" ?>',
    '<!DOCTYPE scenario SYSTEM "sipp.dtd">',
    '<!-- Written by `node sipp/build.ts` from sipp/pairs: change it there. -->',
    `<!-- ${pair.shows} -->`,
    ...tags,
    `<scenario name="${pair.name}.${end}">`,
    body,
    ...(variables.names.size > 0 ? [`  <Reference variables="${[...variables.names].join(',')}" />`] : []),
    '</scenario>',
    '',
  ].join('\n');
}

/** SIPp refuses variables that are set and never read, so all are listed at the end. */
class Variables {
  readonly names = new Set<string>();

  of(check: Check): string {
    return check.name === undefined ? this.next() : this.add(check.name);
  }

  next(): string {
    return this.add(`check${this.names.size + 1}`);
  }

  add(name: string): string {
    this.names.add(name);
    return name;
  }
}

class Scenario {
  readonly #steps: readonly Step[];
  readonly #repeats: Repeats;
  readonly #variables: Variables;
  readonly #stopsTimer: boolean;
  /** Of named messages, counted as SIPp counts for `[branch-N]`: labels are none. */
  readonly #indexes = new Map<string, number>();

  constructor(steps: readonly Step[], variables: Variables) {
    this.#steps = steps;
    this.#repeats = repeatsOf(steps);
    this.#stopsTimer = steps.some((step) => step.kind === 'receive' && step.stopsTimer);
    this.#variables = variables;
  }

  xml(): string {
    const parts: string[] = [];
    let index = 0;
    for (const [at, step] of this.#steps.entries()) {
      const passed = this.#repeats.before(at);
      parts.push(...passed.map((element) => `  ${element}`));
      index += passed.length;
      parts.push(this.#step(step, index, this.#repeats.attributesOf(at)));
      if (step.kind !== 'label') index++;
    }
    return parts.join('\n');
  }

  #step(step: Step, index: number, more: string): string {
    switch (step.kind) {
      case 'send':
        return this.#send(step, index, more);
      case 'receive':
        return this.#receive(step, more);
      case 'pause':
        return `  <pause milliseconds="${step.milliseconds}" />`;
      case 'linger':
        return `  <timewait milliseconds="${step.milliseconds}" />`;
      case 'execute':
        return `  <nop>\n    <action>\n      <exec command="${escaped(step.command)}" />\n    </action>\n  </nop>`;
      case 'label':
        return `  <label id="${step.id}" />`;
      default:
        return step satisfies never;
    }
  }

  #send(step: Send, index: number, more: string): string {
    if (step.name !== undefined) this.#indexes.set(step.name, index);
    const attributes = [
      ...(step.repeated ? [' retrans="500"'] : []),
      ...(step.lost ? [' lost="100"'] : []),
      // SIPp refuses a timer that is never stopped.
      ...(step.startsTimer && this.#stopsTimer ? [' start_rtd="1"'] : []),
      more,
    ].join('');
    const lines = this.#branched(step, index)
      .split('\n')
      .map((line) => (line === '' ? '' : `      ${line}`));
    return [`  <send${attributes}>`, '    <![CDATA[', ...lines, '', '    ]]>', '  </send>'].join('\n');
  }

  #branched(step: Send, index: number): string {
    if (step.branchOf === undefined) return step.message;
    const first = this.#indexes.get(step.branchOf);
    if (first === undefined) throw new Error(`no message named ${step.branchOf} before`);
    return step.message.replace('branch=[branch]', `branch=[branch-${index - first}]`);
  }

  #receive(step: Receive, more: string): string {
    const request = typeof step.what === 'string';
    const jump = step.jump === undefined ? '' : ` next="${step.jump.to}"`;
    const when = step.jump?.when === undefined ? '' : ` test="${step.jump.when}"`;
    const attributes = [
      ` ${request ? 'request' : 'response'}="${step.what}"`,
      more,
      ...(step.optional ? [' optional="true"'] : []),
      ...(step.target ? [' rrs="true"'] : []),
      ...(step.stopsTimer ? [' rtd="1"'] : []),
      ...(step.lostPercent === undefined ? [] : [` lost="${step.lostPercent}"`]),
      ...(request || step.optional ? [] : [` timeout="${RECEIVE_TIMEOUT_MS}"`]),
      jump,
      when,
    ].join('');
    if (step.checks.length === 0) return `  <recv${attributes} />`;
    const checks = step.checks.flatMap((check) => this.#check(check)).map((element) => `      ${element}`);
    return [`  <recv${attributes}>`, '    <action>', ...checks, '    </action>', '  </recv>'].join('\n');
  }

  #check(check: Check): readonly string[] {
    const where = check.in === 'body' ? 'search_in="body"' : `search_in="hdr" header="${check.in}"`;
    const must = check.mode === 'save' ? '' : check.mode === 'lacks' ? ' check_it_inverse="true"' : ' check_it="true"';
    const name = this.#variables.of(check);
    const names = [...(check.part ? [this.#variables.next()] : []), name];
    if (check.mode === 'tlsIds') names.push(...groupsOf(check).map((group) => this.#variables.add(group)));
    const variables = names.join(',');
    return [
      `<ereg regexp="${escaped(check.pattern)}" ${where}${must} assign_to="${variables}" />`,
      ...(check.unlike === undefined ? [] : this.#differ([...check.unlike, ...groupsOf(check)])),
      ...(check.former === undefined ? [] : this.#compare(check.former, name, check.mode === 'same')),
    ];
  }

  /** SIPp compares no variables, but an expression that refers back finds what stands in a text twice. */
  #compare(former: string, name: string, isSame: boolean): readonly string[] {
    const [both, twice] = [this.#variables.next(), this.#variables.next()];
    const must = isSame ? 'check_it' : 'check_it_inverse';
    return [
      `<assignstr assign_to="${both}" value="[$${former}]@@[$${name}]" />`,
      `<ereg regexp="^(.*)@@\\1$" search_in="var" variable="${both}" ${must}="true" assign_to="${twice}" />`,
    ];
  }

  /** The same for several that must all differ. */
  #differ(names: readonly string[]): readonly string[] {
    const [all, twice] = [this.#variables.next(), this.#variables.next()];
    return [
      `<assignstr assign_to="${all}" value="${names.map((name) => `[$${name}]`).join(' ')}" />`,
      `<ereg regexp="([^ ]+) (.* )?\\1( |$)" search_in="var" variable="${all}" check_it_inverse="true" assign_to="${twice}" />`,
    ];
  }
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('"', '&quot;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
