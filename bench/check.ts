// Microseconds a check takes within one request, without HTTP.
import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import Koa from 'koa';
import { KoaOso } from 'koa-oso';
import { expense, InstantOso, loadedOso, owner } from './policy.js';
import { median, table } from './report.js';

const ROUNDS = Number(process.env.ROUNDS ?? 5);
const CALLS = Number(process.env.CALLS ?? 2000);

async function microseconds(call: () => Promise<unknown>): Promise<number> {
  for (let i = 0; i < CALLS / 10; i++) await call();
  const start = performance.now();
  for (let i = 0; i < CALLS; i++) await call();
  return ((performance.now() - start) * 1000) / CALLS;
}

/** Checks a new ctx each time, as requests do. */
function checkWith(koaOso: KoaOso): () => Promise<unknown> {
  const app = new Koa();
  const middleware = koaOso.middleware();
  return () => {
    const request = new IncomingMessage(new Socket());
    request.url = '/';
    const ctx = app.createContext(request, new ServerResponse(request));
    ctx.state.user = owner;
    return middleware(ctx as never, () => ctx.oso.authorize(expense, { action: 'read' }));
  };
}

const oso = await loadedOso();
const subjects: [string, () => Promise<unknown>][] = [
  ['oso called directly', () => oso.isAllowed(owner, 'read', expense)],
  ['koa-oso with oso', checkWith(new KoaOso({ oso }))],
  ['koa-oso, engine that answers at once', checkWith(new KoaOso({ oso: new InstantOso() }))],
];
const results = new Map<string, number[]>(subjects.map(([name]) => [name, []]));
for (let round = 0; round < ROUNDS; round++) {
  for (const [name, call] of subjects) results.get(name)?.push(await microseconds(call));
}
const direct = median(results.get('oso called directly') ?? []);
table(
  `One check, median of ${ROUNDS} rounds of ${CALLS}`,
  ['check', 'µs', 'ratio to oso'],
  subjects.map(([name]) => {
    const time = median(results.get(name) ?? []);
    return [name, time.toFixed(1), (time / direct).toFixed(3)];
  }),
);
