/** fengari has no types of its own; `engine/types.ts` describes the parts we use. */
declare module 'fengari/src/*.js' {
  const exported: unknown;
  export default exported;
}
