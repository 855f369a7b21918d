// Microseconds a check takes within one request, without HTTP.
import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import Koa from 'koa';
import { KoaOso } from 'koa-oso';
import { CompiledOso } from 'koa-oso/polar';
import { Oso } from 'oso';
import { ATTRIBUTE_POLICY, alice, expense, InstantOso, load } from './policy.js';
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
    ctx.state.user = alice;
    return middleware(ctx as never, () => ctx.oso.authorize(expense, { action: 'approve' }));
  };
}

const oso = await load(new Oso(), ATTRIBUTE_POLICY);
const compiled: Oso = await load(new CompiledOso(), ATTRIBUTE_POLICY);
const subjects: [string, () => Promise<unknown>][] = [
  ['oso called directly', () => oso.isAllowed(alice, 'approve', expense)],
  ['koa-oso with oso', checkWith(new KoaOso({ oso }))],
  ['CompiledOso called directly', () => compiled.isAllowed(alice, 'approve', expense)],
  ['koa-oso with CompiledOso', checkWith(new KoaOso({ oso: compiled }))],
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
