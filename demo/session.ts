import { randomBytes } from 'node:crypto';
import type Koa from 'koa';
import type { Context, Middleware } from 'koa';
import createSession from 'koa-session';
import { database } from './database.js';
import { User } from './entities/user.js';

declare module 'koa' {
  interface ExtendableContext {
    /** What the signed cookie holds; set it to `null` to log out. */
    session: { userId?: number } | null;
  }
}

/**
 * Keeps the session in a cookie that is signed with the keys in `SESSION_KEYS` (comma-separated, the newest first).
 * Without them the key is random, and everybody is logged out by a restart.
 */
export function session(app: Koa): Middleware {
  const { SESSION_KEYS } = process.env;
  app.keys = SESSION_KEYS ? SESSION_KEYS.split(',') : [randomBytes(32).toString('base64url')];
  return createSession(
    { key: 'expenses', maxAge: 8 * 60 * 60 * 1000, httpOnly: true, sameSite: 'strict' },
    app,
  );
}

/** Who is logged in, with what the policy looks at; `null` for nobody. */
export function userOf(ctx: Context): Promise<User | null> | null {
  const userId = ctx.session?.userId;
  if (userId === undefined) return null;
  return database.getRepository(User).findOne({ where: { id: userId }, relations: { memberships: true } });
}
