import { STATUS_CODES } from 'node:http';
import type { Context, Next } from 'koa';
import { HttpError } from 'routing-controllers';

/** The body of every answer that is an error. */
interface ErrorBody {
  error: {
    status: number;
    message: string;
    /** What is wrong with the body or the query of the request, by field. */
    fields?: Record<string, string[]>;
  };
}

/** A middleware that answers all errors in one form, wherever they come from. */
export async function errorsAsJson(ctx: Context, next: Next): Promise<void> {
  try {
    await next();
    if (ctx.status >= 400 && !ctx.body) answer(ctx, ctx.status);
  } catch (thrown) {
    const error = thrown instanceof Error ? thrown : new Error('Something was thrown that is no Error');
    answerFor(ctx, error);
  }
}

/** Koa's errors say by `expose` that the message is for the client; those of routing-controllers are made for it. */
function answerFor(ctx: Context, error: Thrown): void {
  const status = error.status ?? error.httpCode ?? 500;
  if (status >= 500) {
    ctx.app.emit('error', error, ctx);
    answer(ctx, status);
  } else if (Array.isArray(error.errors)) {
    answer(ctx, status, 'The request is not valid', messagesByField(error.errors));
  } else if (error.expose || error instanceof HttpError) {
    // For developers, and never for the client.
    if (error.explanation !== undefined) ctx.app.emit('explained', error.explanation);
    answer(ctx, status, error.message);
  } else {
    answer(ctx, status);
  }
}

interface Thrown extends Error {
  status?: number;
  httpCode?: number;
  expose?: boolean;
  /** Why it was denied, from koa-oso in development. */
  explanation?: string;
  /** What routing-controllers hands on from class-validator. */
  errors?: { property: string; constraints?: Record<string, string> }[];
}

function answer(
  ctx: Context,
  status: number,
  message = STATUS_CODES[status] ?? 'Error',
  fields?: Record<string, string[]>,
): void {
  ctx.status = status;
  ctx.body = { error: { status, message, fields } } satisfies ErrorBody;
}

/** The messages only: class-validator hands the values and objects along. */
function messagesByField(errors: NonNullable<Thrown['errors']>): Record<string, string[]> {
  return Object.fromEntries(
    errors.map(({ property, constraints = {} }) => [property, Object.values(constraints)]),
  );
}
