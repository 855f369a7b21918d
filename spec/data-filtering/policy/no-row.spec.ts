import { expect } from 'chai';
import { entityEquality, registerEntities } from 'koa-oso/array';
import { CompiledOso } from 'koa-oso/polar';
import { Oso } from 'oso';

class Post {
  constructor(
    readonly id: number,
    readonly isPublic: boolean,
    readonly title: string | null,
    readonly authorId: number | null,
  ) {}
}
class Author {
  constructor(
    readonly id: number,
    readonly name: string,
  ) {}

  get shout(): string {
    return `${this.name}!`;
  }
}
class Badge {}

const entities = {
  Post: {
    class: Post,
    fields: {
      id: { type: 'integer', nullable: false },
      isPublic: { type: 'boolean', nullable: false },
      title: { type: 'text', nullable: true },
      authorId: { type: 'integer', nullable: true },
    },
    relations: { author: { one: 'Author', on: { authorId: 'id' } } },
  },
  Author: {
    class: Author,
    fields: { id: { type: 'integer', nullable: false }, name: { type: 'text', nullable: false } },
    relations: { posts: { many: 'Post', on: { id: 'authorId' } } },
  },
} as const;

const posts = [
  new Post(1, true, 'a', 1),
  new Post(2, false, 'b', 2),
  new Post(3, true, null, null),
  new Post(4, false, 'a', 9),
];
const authors = [new Author(1, 'ann'), new Author(2, 'bob')];
const ann = { name: 'ann', role: 'user', words: ['a'], posts: [posts[0]], author: authors[0] };

/** The posts that are public, to everybody. */
const PUBLIC = 'allow(_, "read", post: Post) if post.isPublic;';
const PUBLIC_IDS = [1, 3];

/** Rules that say nothing of posts: nobody's list may depend on them. `actor.role` fails for nil. */
const ELSEWHERE: readonly string[] = [
  'allow(actor, "read", "the dashboard") if actor.role = "admin";',
  'allow(actor, "read", 7) if actor.role = "admin";',
  'allow(actor, "read", 7.5) if actor.role = "admin";',
  'allow(actor, "read", true) if actor.role = "admin";',
  'allow(actor, "read", []) if actor.role = "admin";',
  'allow(actor, "read", ["the dashboard"]) if actor.role = "admin";',
  'allow(actor, "read", [first]) if first = actor.role;',
  'allow(actor, "read", [_first, *_rest]) if actor.role = "admin";',
  'allow(actor, "read", {name: "the dashboard"}) if actor.role = "admin";',
  'allow(actor, "read", {name: name}) if actor.role = name;',
  'allow(actor, "read", Post) if actor.role = "admin";',
  'allow(actor, "read", Badge) if actor.role = "admin";',
  'allow(actor, "read", nil) if actor.role = "admin";',
  'allow(actor, "read", _: Badge) if actor.role = "admin";',
  'allow(actor, "read", _: Author) if actor.role = "admin";',
  'allow(actor, "read", _: Author{id: 1}) if actor.role = "admin";',
  'allow(actor, "read", _: Author{nosuch: 1}) if actor.role = "admin";',
  'allow(actor, "read", _: String) if actor.role = "admin";',
  'allow(actor, "read", _: Integer) if actor.role = "admin";',
  'allow(actor, "read", _: List) if actor.role = "admin";',
  'allow(actor, "read", _: Dictionary) if actor.role = "admin";',
  'allow(actor, "read", _: Boolean) if actor.role = "admin";',
  'allow(actor, "read", _: Dictionary{name: "a"}) if actor.role = "admin";',
  'allow(actor, "read", _: {nosuch: 1}) if actor.role = "admin";',
  'allow(actor, "read", _: Post{nosuch: "a"}) if actor.role = "admin";',
  'allow(actor, "read", _: {title: {length: 1}}) if actor.role = "admin";',
  'allow(actor, "read", post) if post = "the dashboard" and actor.role = "admin";',
  'allow(actor, "read", post) if post == "the dashboard" and actor.role = "admin";',
  'allow(actor, "read", post) if "the dashboard" = post and actor.role = "admin";',
  'allow(actor, "read", post) if post = nil and actor.role = "admin";',
  'allow(actor, "read", post) if post in ["the dashboard", 7, nil, [1]] and actor.role = "admin";',
  'allow(actor, "read", post) if not post != "the dashboard" and actor.role = "admin";',
  'allow(actor, "read", post) if post matches Author and actor.role = "admin";',
  'allow(actor, "read", post) if post matches Author{nosuch: 1} and actor.role = "admin";',
  'allow(actor, "read", post) if post matches {nosuch: 1} and actor.role = "admin";',
  'allow(actor, "read", post) if not (not post matches Author) and actor.role = "admin";',
  'allow(actor, "read", post) if [post, 1] = ["the dashboard", 1] and actor.role = "admin";',
  'allow(actor, "read", post) if page(actor, post); page(actor, "the dashboard") if actor.role = "admin";',
  'allow(actor, "read", post: Post) if post.title = 7 and actor.role = "admin";',
  'allow(actor, "read", post: Post) if word(actor, post.title); word(actor, 7) if actor.role = "admin";',
  'allow(actor, "read", post: Post) if word(actor, post.title); word(actor, _: Author) if actor.role = "admin";',
  'allow(actor, "read", post: Post) if word(actor, post.title); word(actor, ["a"]) if actor.role = "admin";',
  'allow("root", "read", post: Post) if post.nosuch = 1;',
  'allow(_: Badge, "read", post: Post) if post.nosuch = 1;',
  'allow({name: "root"}, "read", post: Post) if post.nosuch = 1;',
  'allow(_: {name: "root"}, "read", post: Post) if post.nosuch = 1;',
  'allow(actor, "read", "the dashboard") if actor.nosuch.nosuch = 1;',
];

/** Conditions on posts that no post is in the way of, by the posts for which they hold. */
const CONDITIONS: Readonly<Record<string, readonly number[]>> = {
  'not post = "the dashboard"': [1, 2, 3, 4],
  'not post in ["the dashboard", 7]': [1, 2, 3, 4],
  'post != "the dashboard"': [1, 2, 3, 4],
  'not post matches Author': [1, 2, 3, 4],
  'not post matches Author{nosuch: 1}': [1, 2, 3, 4],
  'not post = [1]': [1, 2, 3, 4],
  'not page(post)': [1, 2, 3, 4],
  'word(post.title)': [1, 2, 4],
  'not word(post.title)': [3],
  'forall(page in ["the dashboard", 7], page != post)': [1, 2, 3, 4],
  'post.author matches {name: "ann"}': [1],
  'not post.author matches Badge': [1, 2, 3, 4],
  'post.author = "ann" or post.id = 2': [2],
  'post in actor.posts': [1],
};

async function load(oso: Oso | CompiledOso, policy: string): Promise<Oso> {
  registerEntities(oso, { Post: posts, Author: authors }, entities);
  oso.registerClass(Badge);
  await oso.loadStr(policy, 'policy.polar');
  return oso as Oso;
}

async function listed(oso: Oso, actor: unknown): Promise<number[]> {
  const found = (await oso.authorizedResources(actor, 'read', Post)) as Post[];
  return found.map(({ id }) => id);
}

async function allowed(oso: Oso, actor: unknown): Promise<number[]> {
  const ids: number[] = [];
  for (const post of posts) if (await oso.isAllowed(actor, 'read', post)) ids.push(post.id);
  return ids;
}

for (const Engine of [Oso, CompiledOso] as (typeof Oso)[]) {
  const make = () => new Engine({ equalityFn: entityEquality(entities) }) as Oso;

  describe(`a rule that no row can match, for ${Engine.name}`, () => {
    for (const rule of ELSEWHERE) {
      it(`ends at once: ${rule}`, async () => {
        const oso = await load(make(), `${rule}\n${PUBLIC}`);
        for (const actor of [null, ann]) {
          expect(await allowed(oso, actor)).to.deep.equal(PUBLIC_IDS);
          expect(await listed(oso, actor)).to.deep.equal(PUBLIC_IDS);
        }
      });
    }

    for (const [condition, ids] of Object.entries(CONDITIONS)) {
      it(`is an answer inside of a condition, too: ${condition}`, async () => {
        const policy = `allow(actor, "read", post: Post) if actor = actor and ${condition};
          page("the dashboard"); word(_: String);`;
        const oso = await load(make(), policy);
        expect(await allowed(oso, ann)).to.deep.equal(ids);
        expect(await listed(oso, ann)).to.deep.equal(ids);
      });
    }

    // What is not described may be there all the same, and would open the list.
    for (const condition of [
      'not post matches {nosuch: 1}',
      'not (post matches Post{nosuch: 1})',
      'post matches {nosuch: found} and found != 1',
      'post.author matches {shout: "ann!"}',
      'post.nosuch = 1',
    ]) {
      it(`is not guessed of what is not described: ${condition}`, async () => {
        const oso = await load(make(), `allow(_, "read", post: Post) if ${condition};`);
        const error = await listed(oso, ann).then(undefined, thrown => thrown);
        expect(error).to.have.property('code', 'ERR_KOA_OSO_UNFILTERABLE_POLICY');
        expect(error.message).to.match(/`(nosuch|shout)` is no field and no relation/);
      });
    }
  });
}
