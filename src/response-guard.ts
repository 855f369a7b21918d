import { type ServerResponse, STATUS_CODES } from 'node:http';
import type { Context } from 'koa';
import { currentOso } from './current-request.js';
import { statusOf } from './errors.js';
import { define } from './guard/own-properties.js';
import { cut, isAnswered, isOnItsWay, isUpgraded, takeBackTrailers } from './response.js';

/** What may be said against the head that is about to be written: the error that has to be answered in its place. */
type Objection = (status: number, isKoas: () => boolean) => Error | undefined;

/**
 * What is done to the response in one go, without another part of the program having its turn in between.
 *
 * Nothing says who writes to a response: an error handler and a part of the refused handler that still runs have the
 * same `ctx`, and following each through its promises (AsyncLocalStorage) would cost every request 5 µs. So an answer
 * is known by its form: an error handler sets a status of an error or a redirect, and the body in one go with it.
 */
interface Run {
  /** Whether a status of 300 or more was set. */
  answers: boolean;
  /** Whether the body that counts was looked at, as by what compresses it. */
  reads: boolean;
  setsBody: boolean;
  isIgnored: boolean;
  /** The words beside the status. */
  message: string | undefined;
  readonly headersBefore: [name: string, value: number | string | string[] | undefined][];
  readonly statusBefore: number;
  readonly wasStatusSet: boolean;
}

const HEAD_ALONE = Symbol('the head alone');
const REFUSED = Symbol('refused');

/**
 * Stands between a request and the head of its response, until this is written: by Koa, by a handler of its own accord,
 * or by a timer. What a refusal or a missing authorization forbids does not get past it.
 *
 * `watch` asks at the head; `withhold` takes back what there is, and lets only the answer of an error handler replace it.
 */
export class ResponseGuard {
  readonly #ctx: Context;
  readonly #headersBefore: ReturnType<ServerResponse['getHeaders']>;
  readonly #objections: Objection[] = [];
  #isWatching = false;
  /** Whether one of the response's own methods runs that was let pass: what it calls of the others passes as well. */
  #isPassing = false;
  #isOver = false;
  #told: Error | undefined;
  #reason: Error | undefined;
  /** Whether the body that there is, or that there is none, was made by an error handler. */
  #isAnswered = false;
  #run: Run | undefined;
  #setHeader: ServerResponse['setHeader'] | undefined;
  /** The words beside the status that an error handler set. */
  #message: string | undefined;

  /** Whether what is around koa-oso has its turn again. */
  isHandlerDone = false;

  /** @param ctx of the request; the headers that are set by now stay, whatever becomes of it */
  constructor(ctx: Context) {
    this.#ctx = ctx;
    this.#headersBefore = ctx.res.getHeaders();
  }

  get isHeadSent(): boolean {
    return this.#ctx.headerSent;
  }

  /** Whether the guard has ended the response: nothing gets out any more. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** Whether the guard has ended the response with this error, and told the app's `error` event. */
  hasTold(error: unknown): boolean {
    return this.#told !== undefined && this.#told === error;
  }

  /**
   * Asks, when the head is about to be written, whether it may be.
   *
   * @param objection gets the status, and whether what is written is what Koa makes of `ctx.body`
   */
  watch(objection: Objection): void {
    this.#objections.push(objection);
    if (this.#isWatching) return;
    this.#isWatching = true;
    const { res } = this.#ctx;
    const { writeHead, write, end, flushHeaders } = res;
    // What is handed over goes on as it is: the methods are overloaded, and others may stand in front and behind.
    const writeHeadIfAllowed = (...args: unknown[]) => {
      this.#pass(writeHead, args, Number(args[0]));
      return res;
    };
    const writeIfAllowed = (...args: unknown[]) => {
      const outcome = this.#pass(write, args, res.statusCode, args[0] ?? null);
      return outcome === REFUSED || outcome;
    };
    const endIfAllowed = (...args: unknown[]) => {
      this.#pass(end, args, res.statusCode, args[0] ?? null);
      return res;
    };
    res.writeHead = writeHeadIfAllowed;
    res.write = writeIfAllowed as typeof write;
    res.end = endIfAllowed;
    res.flushHeaders = () => {
      this.#pass(flushHeaders, [], res.statusCode);
    };
  }

  /**
   * Takes back the body and the headers that there are so far. From here on a body gets out only if an error handler set
   * it: in one go with the status of an error, or of a redirect.
   *
   * @param reason what is answered in place of all other bodies
   * @param status what is answered with unless somebody sets another; without it nobody has answered
   */
  withhold(reason: Error, status?: number): void {
    const { res, response } = this.#ctx;
    if (res.headersSent) return;
    for (const name of res.getHeaderNames()) res.removeHeader(name);
    takeBackTrailers(this.#ctx);
    setOf(response, 'body', undefined);
    for (const [name, value] of Object.entries(this.#headersBefore)) {
      if (value !== undefined) res.setHeader(name, value);
    }
    setStatus(this.#ctx, status ?? 404, status !== undefined);
    this.#run = undefined;
    this.#isAnswered = false;
    const isFirst = this.#reason === undefined;
    this.#reason = reason;
    if (!isFirst) return;
    this.#watchBody();
    this.#watchHeaders();
    this.watch((code, isKoas) => this.#objectionToWithheld(code, isKoas));
  }

  /**
   * Puts an error in place of the response; if that is on its way already, cuts the connection, so that the client sees
   * a failure and not a complete answer.
   *
   * @returns the error, to be thrown
   */
  takeBack(error: Error): Error {
    // With ctx.respond = false a handler may still write to the response: destroyed, it ignores that.
    if (isOnItsWay(this.#ctx)) this.#cut();
    else this.withhold(error, statusOf(error));
    return error;
  }

  /**
   * Takes back what is not sent, as a check is refused while the handler is at it. If the head is sent, it cuts at once: a
   * handler that goes on would send the rest.
   */
  refuse(error: Error): void {
    const { headerSent, res } = this.#ctx;
    if (!headerSent && !isUpgraded(this.#ctx)) this.withhold(error);
    else if (!res.writableFinished) this.#cut();
  }

  /** The same for an error that was thrown already: Koa answers with it, if the head is not sent. */
  takeBackFor(error: unknown, refusal: Error): void {
    const { headerSent, res } = this.#ctx;
    if (!headerSent && !isUpgraded(this.#ctx)) this.withhold(refusal, statusOf(error ?? refusal));
    else if (!res.writableFinished) this.#cut();
  }

  /** Refuses a request whose handler is done: takes back what is not sent, cuts what is being sent, and tells. */
  refuseLate(error: Error): void {
    if (!isOnItsWay(this.#ctx) && !isUpgraded(this.#ctx)) this.withhold(error, statusOf(error));
    else if (!this.#ctx.res.writableFinished) this.#cut();
    this.#ctx.app.emit('error', error, this.#ctx);
  }

  /** Whether what there is may be what an error handler has answered, if the response is withheld. */
  get isAnswerOfErrorHandler(): boolean {
    if (this.#reason === undefined) return true;
    this.#endRun();
    const { response } = this.#ctx;
    return response.status >= 300 && (this.#isAnswered || isEmpty(getOf(response, 'body')));
  }

  #objectionToWithheld(status: number, isKoas: () => boolean): Error | undefined {
    // Koa's ctx.onerror, and those like it, write the status and the answer in one go.
    if (this.#run?.answers && status >= 300) return undefined;
    return status >= 300 && isKoas() && this.isAnswerOfErrorHandler ? undefined : this.#reason;
  }

  /** Calls a method of the response, if it may write. Whether it may write again is asked again, until the head is written. */
  #pass(method: unknown, args: unknown[], status: number, chunk?: unknown): unknown {
    if (!this.#passes(status, chunk)) return REFUSED;
    const wasPassing = this.#isPassing;
    this.#isPassing = true;
    try {
      return Reflect.apply(method as () => unknown, this.#ctx.res, args);
    } finally {
      this.#isPassing = wasPassing;
    }
  }

  /** @param chunk what is written with the head; `HEAD_ALONE` if it is the head alone */
  #passes(status: number, chunk: unknown = HEAD_ALONE): boolean {
    if (this.#isOver) return false;
    if (this.#isPassing || this.#ctx.headerSent) return true;
    const isKoas = () => this.#isKoas(chunk);
    for (const objection of this.#objections) {
      const error = objection(status, isKoas);
      if (error === undefined) continue;
      this.#refuse(error);
      return false;
    }
    return true;
  }

  /** Ends the response with an error in place of the head that somebody wanted to write. */
  #refuse(error: Error): void {
    const { app, res, respond } = this.#ctx;
    this.#told = error;
    if (this.isHandlerDone && respond !== false && !isUpgraded(this.#ctx)) {
      // As Koa answers an error that is thrown; it tells the event as well.
      this.#isPassing = true;
      this.#ctx.onerror(error);
      this.#isOver = true;
      if (!res.headersSent) this.#cut();
      return;
    }
    // The handler is still at it. It has gone past Koa, and may do so again.
    this.#cut();
    app.emit('error', error, this.#ctx);
  }

  #cut(): void {
    this.#isOver = true;
    cut(this.#ctx);
  }

  /** Whether it is what Koa writes: the body of the context, or the words for a status that has none. */
  #isKoas(chunk: unknown): boolean {
    if (chunk === HEAD_ALONE) return false;
    if (isEmpty(chunk) || typeof chunk === 'function') return true;
    const { req, response, status } = this.#ctx;
    const body = getOf(response, 'body');
    if (isEmpty(body))
      return chunk === String(status) || (req.httpVersionMajor < 2 && chunk === response.message);
    if (typeof body === 'string' || Buffer.isBuffer(body)) return chunk === body;
    return isStream(body) || chunk === JSON.stringify(body);
  }

  #currentRun(): Run {
    if (this.#run !== undefined) return this.#run;
    const run: Run = {
      answers: false,
      reads: false,
      setsBody: false,
      isIgnored: false,
      message: undefined,
      headersBefore: [],
      statusBefore: this.#ctx.res.statusCode,
      wasStatusSet: isAnswered(this.#ctx),
    };
    this.#run = run;
    queueMicrotask(() => {
      if (this.#run === run) this.#endRun();
    });
    return run;
  }

  #endRun(): void {
    const run = this.#run;
    this.#run = undefined;
    if (run?.answers && run.message !== undefined) this.#message = run.message;
    if (!run?.setsBody) return;
    if (run.answers || run.reads) this.#isAnswered = true;
    else this.#undo(run);
  }

  /** Takes back a body that no error handler has set, with what came with it. */
  #undo(run: Run): void {
    const { response } = this.#ctx;
    setOf(response, 'body', undefined);
    this.#undoHeaders(run);
    setStatus(this.#ctx, run.statusBefore, run.wasStatusSet);
  }

  /** Whether the writer is known to be the handler (false) or what is around koa-oso (true), as with `asyncLocalStorage`. */
  #isWrittenAround(): boolean | undefined {
    if (!this.isHandlerDone) return undefined;
    if (currentOso()?.outcome.guard === this) return false;
    return this.#ctx.app.currentContext === this.#ctx ? true : undefined;
  }

  #watchBody(): void {
    const { response } = this.#ctx;
    define(response, 'status', {
      configurable: true,
      get: () => getOf(response, 'status'),
      set: (status: number) => {
        if (this.#isWrittenAround() === false) return;
        setOf(response, 'status', status);
        if (status >= 300) this.#currentRun().answers = true;
      },
    });
    define(response, 'body', {
      configurable: true,
      get: () => {
        if (this.#isAnswered) this.#currentRun().reads = true;
        return getOf(response, 'body');
      },
      set: (body: unknown) => {
        const isAround = this.#isWrittenAround();
        if (isAround === false) return;
        const run = this.#currentRun();
        if (isAround) run.answers = true;
        if (this.#isAnswered && !run.answers && !run.reads) this.#undoHeaders(run);
        if (run.isIgnored) return;
        run.setsBody = true;
        setOf(response, 'body', body);
      },
    });
  }

  #watchHeaders(): void {
    const { req, res } = this.#ctx;
    if (req.httpVersionMajor < 2) this.#watchMessage();
    const { setHeader, appendHeader } = res;
    this.#setHeader = setHeader;
    res.setHeader = (name, value) => {
      if (this.#mayHaveHeader(name)) setHeader.call(res, name, value);
      return res;
    };
    res.appendHeader = (name, value) => {
      if (this.#mayHaveHeader(name)) appendHeader.call(res, name, value);
      return res;
    };
  }

  /** The words beside the status count with it alone: Koa sends them as the body if there is none. */
  #watchMessage(): void {
    const { res } = this.#ctx;
    define(res, 'statusMessage', {
      configurable: true,
      get: () => (this.#run?.answers && this.#run.message) || this.#message || STATUS_CODES[res.statusCode],
      set: (message: string) => {
        if (this.#isWrittenAround() !== false) this.#currentRun().message = message;
      },
    });
  }

  #mayHaveHeader(name: string): boolean {
    if (this.#isWrittenAround() === false) return false;
    const run = this.#currentRun();
    if (!run.isIgnored) run.headersBefore.push([name, this.#ctx.res.getHeader(name)]);
    return !run.isIgnored;
  }

  #undoHeaders(run: Run): void {
    const { res } = this.#ctx;
    run.isIgnored = true;
    for (const [name, value] of run.headersBefore.splice(0).reverse()) {
      res.removeHeader(name);
      if (value !== undefined) this.#setHeader?.call(res, name, value);
    }
  }
}

function setStatus({ req, res, response }: Context, status: number, isSet: boolean): void {
  if (isSet) {
    setOf(response, 'status', status);
    return;
  }
  // As Koa begins: 404, until somebody says something else.
  res.statusCode = status;
  if (req.httpVersionMajor < 2) res.statusMessage = '';
  (response as { _explicitStatus?: boolean })._explicitStatus = false;
}

/** What Koa's own accessors give and set, whatever stands in front of them. */
function getOf(response: Context['response'], name: 'body' | 'status'): unknown {
  return Reflect.get(Object.getPrototypeOf(response), name, response);
}

function setOf(response: Context['response'], name: 'body' | 'status', value: unknown): void {
  Reflect.set(Object.getPrototypeOf(response), name, value, response);
}

/** Whether Koa sends it piece by piece: a stream of Node or of the web, a Blob, or a Response. */
function isStream(body: unknown): boolean {
  if (!(body instanceof Object)) return false;
  const { pipe, getReader, stream } = body as Partial<Record<string, unknown>>;
  return [pipe, getReader, stream].some(each => typeof each === 'function') || body instanceof Response;
}

function isEmpty(value: unknown): value is null | undefined {
  return value === undefined || value === null;
}
