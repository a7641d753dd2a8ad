/** Streams as backends send them, event by event. */
import fc from 'fast-check';

export const CHAT_EVENT =
  'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":" \\"usage\\":{}"},"finish_reason":null}],"usage":null}\n\n';
export const USAGE_EVENT =
  'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[],"usage":{"prompt_tokens":19,"completion_tokens":10,"total_tokens":29}}\n\n';
export const DONE_EVENT = 'data: [DONE]\n\n';

export const ANTHROPIC_STREAM = [
  'event: message_start\ndata: {"type":"message_start","message":{"id":"msg_1","role":"assistant","content":[],"usage":{"input_tokens":25,"cache_creation_input_tokens":0,"cache_read_input_tokens":7,"output_tokens":1}}}\n\n',
  'event: ping\ndata: {"type": "ping"}\n\n',
  'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hi"}}\n\n',
  'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":15}}\n\n',
  'event: message_stop\ndata: {"type":"message_stop"}\n\n',
];

export const RESPONSES_STREAM = [
  'event: response.created\ndata: {"type":"response.created","response":{"id":"resp_1","error":null,"usage":null}}\n\n',
  'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","delta":"Hi"}\n\n',
  'event: response.completed\ndata: {"type":"response.completed","response":{"id":"resp_1","output":[],"usage":{"input_tokens":36,"input_tokens_details":{"cached_tokens":0},"output_tokens":87,"output_tokens_details":{"reasoning_tokens":5},"total_tokens":123}}}\n\n',
];

/** One event without its line breaks, and whether it is the usage chunk. */
export interface EventText {
  readonly lines: readonly string[];
  readonly isUsageChunk: boolean;
}

const usage = '{"prompt_tokens":19,"completion_tokens":10}';
const usageChunks = fc.constantFrom(
  [`data: {"choices":[],"usage":${usage}}`],
  [`data:{"usage":${usage},"choices":[ ]}`],
  ['id: 7', 'event: message', `data: {"id":"x","choices":[],`, `data:"usage":${usage}}`, ': bye'],
  [`data: {"usag\\u0065":${usage},"\\u0063hoices":[]}`],
  [`data: {"choices":[],"usage":{}}`],
);
const otherEvents = fc.constantFrom(
  ['data: {"choices":[{"delta":{"content":"héllo \\\\\\" 世界"}}],"usage":null}'],
  [`data: {"choices":[{"index":0}],"usage":${usage}}`],
  ['data: {"choices":[],"usage":null,"prompt_filter_results":[{}]}'],
  [`data: {"choices":[],"x":{"usage":${usage}}}`],
  [`data: {"choices":[[]],"usage":${usage}}`],
  [`data: {"choices":[],"usage":${usage}} x`],
  [`data: {"choices":[],"usage":${usage}`],
  [`dat: {"choices":[],"usage":${usage}}`],
  [`data:  [DONE]`],
  [': keep-alive'],
  ['event: error', 'data: {"error":{"message":"no"}}'],
  ['data'],
  ['data:'],
  ['event: message_stop', 'data: {"type":"message_stop"}'],
  [],
);

export const events: fc.Arbitrary<readonly EventText[]> = fc.array(
  fc.oneof(
    usageChunks.map((lines) => ({ lines, isUsageChunk: true })),
    otherEvents.map((lines) => ({ lines, isUsageChunk: false })),
  ),
  { maxLength: 8 },
);
