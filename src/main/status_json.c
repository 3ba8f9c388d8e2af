/* What `quorate status --json` prints: one document, on one line. */
#include "main/status.h"

#include "main/show.h"

#include <inttypes.h>
#include <string.h>

struct json {
    FILE *out;
    bool some; /* a comma comes first */
};

static void name(struct json *j, const char *text)
{
    (void)fprintf(j->out, "%s\"%s\": ", j->some ? ", " : "", text);
    j->some = true;
}

static void text(struct json *j, const char *field, const char *value)
{
    name(j, field);
    show_json_text(span_of(value, strlen(value)), j->out);
}

static void number(struct json *j, const char *field, int64_t value)
{
    name(j, field);
    (void)fprintf(j->out, "%" PRId64, value);
}

static void truth(struct json *j, const char *field, bool value)
{
    name(j, field);
    (void)fputs(value ? "true" : "false", j->out);
}

static void open(struct json *j, const char *field, char bracket)
{
    if (field != NULL) {
        name(j, field);
    } else {
        (void)fputs(j->some ? ", " : "", j->out);
    }
    (void)fputc(bracket, j->out);
    j->some = false;
}

static void end(struct json *j, char bracket)
{
    (void)fputc(bracket, j->out);
    j->some = true;
}

static void put_nodes(struct json *j, const struct status *s)
{
    open(j, "nodes", '[');
    for (uint32_t i = 0; i < s->node_count; i++) {
        const struct status_node *n = &s->nodes[i];
        open(j, NULL, '{');
        number(j, "id", n->id);
        text(j, "address", n->address);
        text(j, "role", n->role);
        text(j, "state", n->state);
        text(j, "zone", n->zone);
        truth(j, "leads_group_0", n->leads);
        number(j, "partitions", (int64_t)n->replicas);
        number(j, "leaders", (int64_t)n->leaders);
        number(j, "lag", n->lag);
        truth(j, "answered", n->answered);
        if (n->answered) {
            text(j, "version", n->version);
            number(j, "memory_bytes", (int64_t)n->memory);
            number(j, "stall_max_usec", (int64_t)n->stall_us);
            number(j, "disk_free_bytes", n->disk_free);
            truth(j, "disk_low", n->space_low);
        }
        if (n->cpu >= 0) {
            name(j, "cpu");
            (void)fprintf(j->out, "%.4f", n->cpu);
        }
        end(j, '}');
    }
    end(j, ']');
}

static void put_keyspaces(struct json *j, const struct status *s)
{
    open(j, "keyspaces", '[');
    for (uint32_t i = 0; i < s->keyspace_count; i++) {
        const struct status_keyspace *k = &s->keyspaces[i];
        open(j, NULL, '{');
        number(j, "id", k->id);
        text(j, "name", k->name);
        text(j, "strategy", k->strategy);
        number(j, "replicas", k->replicas);
        number(j, "partitions", k->partitions);
        text(j, "prefix", k->prefix);
        text(j, "state", k->state);
        number(j, "maxmemory", k->maxmemory);
        number(j, "maxops", k->maxops);
        if (k->counted) {
            number(j, "keys", k->keys);
            number(j, "bytes", k->bytes);
            number(j, "ops_per_second", k->ops);
        }
        end(j, '}');
    }
    end(j, ']');
}

static void put_partitions(struct json *j, const struct status *s)
{
    open(j, "partitions", '{');
    number(j, "count", (int64_t)s->partitions);
    number(j, "without_leader", (int64_t)s->sick[SICK_NO_LEADER]);
    number(j, "with_replica_away", (int64_t)s->sick[SICK_REPLICA_AWAY]);
    number(j, "moving", (int64_t)s->sick[SICK_MOVING]);
    open(j, "listed", '[');
    for (uint32_t i = 0; i < s->listed_count; i++) {
        const struct status_sick *p = &s->listed[i];
        open(j, NULL, '{');
        text(j, "keyspace", p->keyspace);
        number(j, "partition", p->partition);
        number(j, "group", p->group);
        text(j, "slots", p->slots);
        text(j, "nodes", p->nodes);
        number(j, "leader", p->leader);
        text(j, "why", p->why);
        end(j, '}');
    }
    end(j, ']');
    end(j, '}');
}

static void put_alarms(struct json *j, const struct status *s)
{
    number(j, "alarm_count", s->alarm_count);
    open(j, "alarms", '[');
    for (uint32_t i = 0; i < s->alarms_listed; i++) {
        open(j, NULL, '{');
        text(j, "id", s->alarms[i].id);
        text(j, "alarm", s->alarms[i].alarm);
        number(j, "node", s->alarms[i].node);
        number(j, "since", s->alarms[i].since_ms);
        number(j, "until", s->alarms[i].until_ms);
        text(j, "text", s->alarms[i].text);
        end(j, '}');
    }
    end(j, ']');
}

static void put_lines(struct json *j, const char *field, const char (*lines)[STATUS_TEXT_BYTES],
                      uint32_t count)
{
    open(j, field, '[');
    for (uint32_t i = 0; i < count; i++) {
        (void)fputs(i > 0 ? ", " : "", j->out);
        show_json_text(span_of(lines[i], strlen(lines[i])), j->out);
    }
    end(j, ']');
}

void status_json(const struct status *s, FILE *out)
{
    struct json j = { .out = out };
    open(&j, NULL, '{');
    if (s->error[0] != 0) {
        text(&j, "error", s->error);
    } else {
        text(&j, "cluster", s->cluster);
        text(&j, "version", s->version);
        number(&j, "level", s->level);
        number(&j, "asked", s->asked);
        number(&j, "leader", s->leader);
        number(&j, "term", s->term);
        number(&j, "commit", s->commit);
        number(&j, "applied", s->applied);
        truth(&j, "leader_serves", s->leader != 0 && s->can_serve);
        put_nodes(&j, s);
        put_keyspaces(&j, s);
        put_partitions(&j, s);
        put_alarms(&j, s);
        put_lines(&j, "moves", s->moves, s->moves_count);
        put_lines(&j, "notes", s->notes, s->note_count);
    }
    end(&j, '}');
    (void)fputs("\n", out);
}
