/** An annotated example per top-level block, for the reference; together they are one valid config. */
export const examples: Readonly<Record<string, string>> = {
  server: `server:
  listen: ':8000'
  workers: 4
  max_body_size: 20MB # images in prompts
  drain_timeout: 2m # let long streams finish`,
  management: `management:
  listen: 127.0.0.1:9000 # /metrics and the probes; not reachable for clients`,
  backends: `backends:
  - name: vllm
    url: http://10.0.0.5:8001
    weight: 3 # three of four requests
  - name: openai
    url: https://api.openai.com # requests bring /v1
    api_key: \${OPENAI_API_KEY:-none}
    timeout: 120s
  - name: claude
    url: https://api.anthropic.com
    auth: { type: header, header: x-api-key, value: '\${ANTHROPIC_API_KEY:-none}' }
    headers:
      anthropic-beta: context-1m-2025-08-07`,
  routing: `routing:
  load_balance: weighted
  models_cache_ttl: 1m`,
  health_check: `health_check:
  interval: 10s
  timeout: 2s
  path: /v1/models # for servers without /health`,
  auth: `auth:
  header_names: [Authorization, x-api-key]
  pipeline:
    - name: team
      type: static
      static:
        keys:
          - key: \${TEAM_KEY:-sk-team-change-me}
            name: research
            user_id: research
            expires_at: 2030-01-31T00:00:00Z
    - name: everyone-else
      type: file # takes api_keys; with file.path, a file of its own`,
  api_keys: `api_keys:
  - key: sk-alice-change-me
    user_id: alice
  - key: sk-bob-change-me
    user_id: bob
    status: disabled # known, but not let in`,
  usage: `usage:
  reporters:
    - name: billing
      type: webhook
      webhook:
        url: https://billing.example.com/llm-usage
        secret: \${BILLING_SECRET:-change-me}
    - name: ledger
      type: database
      database: { storage: main }`,
  storage: `storage:
  databases:
    - name: main
      driver: sqlite
      path: data/usage.db`,
  redis: `redis:
  url: redis://10.0.0.9:6379/0`,
  log: `log:
  level: info`,
  logging: `logging:
  access:
    format: combined
    output: file
    file: { path: data/access.log }`,
  metrics: `metrics:
  path: /metrics
  latency_buckets: [100, 1000, 10000, 60000]`,
};
