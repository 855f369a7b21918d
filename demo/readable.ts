import type { Context } from 'koa';

/** Those of the resources that the actor may read, in their order. */
export async function readable<Resource>(ctx: Context, resources: Resource[]): Promise<Resource[]> {
  const allowed = await Promise.all(
    resources.map(resource => ctx.oso.isAllowed(resource, { action: 'read' })),
  );
  return resources.filter((_resource, index) => allowed[index]);
}
