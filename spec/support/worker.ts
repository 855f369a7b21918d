/**
 * Mocha runs two spec files at a time, each in a worker process. What they keep in PostgreSQL is in schemas of their own.
 * Loaded by .mocharc.json before the specs, for the demo reads its environment when it is imported.
 */
const id = process.env.MOCHA_WORKER_ID ?? '0';

process.env.DATABASE_SCHEMA = `koa_oso_demo_${id}`;

/** The name of a schema that no other worker uses. */
export function schemaNamed(name: string): string {
  return `koa_oso_spec_${name}_${id}`;
}
