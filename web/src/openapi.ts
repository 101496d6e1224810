// The parts of an OpenAPI 3.1 document that this server makes, and words for them.

export interface Schema {
  $ref?: string;
  type?: string;
  const?: string;
  description?: string;
  anyOf?: Schema[];
  items?: Schema;
  properties?: Record<string, Schema>;
  additionalProperties?: Schema;
  required?: string[];
}

export type Content = Record<string, { schema: Schema }>;

export interface Answer {
  $ref?: string;
  description?: string;
  content?: Content;
}

export interface Parameter {
  name: string;
  in: 'path' | 'query' | 'header';
  required?: boolean;
  description?: string;
  schema: Schema;
}

export interface Operation {
  operationId: string;
  summary: string;
  description?: string;
  tags: string[];
  parameters: Parameter[];
  requestBody?: { content: Content };
  responses: Record<string, Answer>;
  security: Record<string, string[]>[];
  'x-rights': string[];
}

export interface Document {
  info: { title: string; version: string; description: string };
  tags: { name: string; description: string }[];
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, Schema>; responses: Record<string, Answer> };
}

const lastWord = (ref: string) => ref.slice(ref.lastIndexOf('/') + 1);

/** A type as text: strings, and names of other types as what `link` makes of them. */
export function typeText<T>(
  schema: Schema, link: (name: string) => T, indent = '',
): (string | T)[] {
  if (schema.$ref) return [link(lastWord(schema.$ref))];
  if (schema.const !== undefined) return [`"${schema.const}"`];
  if (schema.anyOf)
    return schema.anyOf.flatMap((one, i) => [i ? ' | ' : '', ...typeText(one, link, indent)]);
  if (schema.type === 'array') return ['[', ...typeText(schema.items ?? {}, link, indent), ']'];
  if (schema.type !== 'object') return [schema.type ?? 'any'];
  const deeper = `${indent}  `;
  const members = Object.entries(schema.properties ?? {}).map(([name, member]) => [
    `${name}${schema.required?.includes(name) ? '' : '?'}: `, ...typeText(member, link, deeper)]);
  if (schema.additionalProperties)
    members.push(['*: ', ...typeText(schema.additionalProperties, link, deeper)]);
  return ['{\n', ...members.flatMap((one) => [deeper, ...one, '\n']), `${indent}}`];
}

/** A value that the schema allows, as small as may be. */
export function exampleOf(schema: Schema, document: Document): unknown {
  if (schema.$ref) {
    const name = lastWord(schema.$ref);
    return exampleOf(document.components.schemas[name] ?? {}, document);
  }
  if (schema.const !== undefined) return schema.const;
  if (schema.anyOf) return exampleOf(schema.anyOf[0] ?? {}, document);
  switch (schema.type) {
    case 'array': return [exampleOf(schema.items ?? {}, document)];
    case 'object': {
      const names = Object.keys(schema.properties ?? {})
        .filter((name) => schema.required?.includes(name));
      const members = names.map((name): [string, unknown] =>
        [name, exampleOf(schema.properties?.[name] ?? {}, document)]);
      if (schema.additionalProperties)
        members.push(['temp', exampleOf(schema.additionalProperties, document)]);
      return Object.fromEntries(members);
    }
    case 'integer': return 1;
    case 'number': return 21.5;
    case 'boolean': return true;
    default: return 'TEXT';
  }
}

const quote = (text: string) => `'${text.replaceAll("'", "'\\''")}'`;

/** A line for a shell that makes the call. */
export function curlLine(
  document: Document, origin: string, path: string, method: string, operation: Operation,
): string {
  const words = ['curl'];
  const [media, body] = Object.entries(operation.requestBody?.content ?? {})[0] ?? [];
  if (method !== 'get' && !(method === 'post' && body)) words.push('-X', method.toUpperCase());
  if (operation.security.length) words.push('-H', quote('Authorization: Bearer KEY'));
  if (operation.responses['200']?.content?.['text/event-stream'])
    words.push('-N', '-H', quote('Accept: text/event-stream'));
  if (media === 'application/json' && body)
    words.push('-d', quote(JSON.stringify(exampleOf(body.schema, document))));
  else if (body) words.push('--data-binary', '@FILE');
  const upper = (name: string) => name.toUpperCase();
  const query = operation.parameters
    .filter((one) => one.in === 'query' && (one.required || one.name === 'channel'))
    .map((one) => `${one.name}=${upper(one.name)}`);
  const place = path.replace(/\{(\w+)\}/g, (_, name: string) => upper(name));
  words.push(quote(origin + place + (query.length ? `?${query.join('&')}` : '')));
  return words.join(' ');
}
