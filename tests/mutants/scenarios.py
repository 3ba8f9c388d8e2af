"""Planted bugs of the failures that other systems had (tests/failures.def): each is judged by a
test that has the scenario's number in its name."""

# Bugs of the other lists: which test has to catch them.
JUDGES = {
    "members: a dropped entry stays in force":
        "unit/protocol/members::test_scenario_3_a_change_while_the_leader_is_isolated",
    "read before the term's first commit":
        "paper/raft_read::"
        "test_6_4_step_1_a_read_waits_for_an_entry_of_the_term_scenario_5",
    "members: joint commits by the new voters alone":
        "unit/protocol/members::test_scenario_11_partition_then_kill_all_then_start",
    "members: a change that was found begun is not ended":
        "unit/protocol/members::test_scenario_12_changes_and_crashes_then_reads",
    "members: an index used again keeps its match":
        "unit/protocol/members::"
        "test_scenario_14_an_index_that_is_used_again_starts_from_nothing",
    "members: a second change before the first is decided":
        "unit/protocol/chaos::test_scenario_20_21_safety_under_chaos_and_progress_after_it",
    "generation not checked":
        "unit/log/log_damage::scenario_23_110_a_batch_of_another_life_never_comes_back",
    "double vote after restart":
        "unit/protocol/snapshot::"
        "test_scenario_24_the_vote_survives_an_installation_and_a_restart",
    "members: the one before is forgotten at a restart":
        "unit/protocol/members::"
        "test_scenario_25_55_a_change_is_dropped_when_the_one_before_is_trimmed",
    "snapshot: terms may fall":
        "unit/protocol/snapshot::"
        "test_scenario_27_an_offer_that_cannot_be_right_changes_nothing",
    "snapshot: a leader installs":
        "unit/protocol/snapshot::test_scenario_28_a_leader_installs_nothing",
    "members: a removed leader stays":
        "unit/protocol/members::"
        "test_scenario_29_a_removed_leader_serves_nothing_and_may_be_added_again",
    "members: joint votes by the new voters alone":
        "unit/protocol/members::test_scenario_31_an_isolated_leader_never_commits_alone",
    "members: learners do not take turns":
        "unit/protocol/members::"
        "test_scenario_32_leave_in_turn_kill_all_join_all_repeatedly",
    "members: granted when joint":
        "unit/protocol/members::"
        "test_scenario_33_an_order_is_granted_when_its_end_is_committed",
    "keeper: it holds what is not durable":
        "unit/node/keeper::test_scenario_35_it_never_holds_what_is_not_durable_here",
    "recovery keeps what it did not sync":
        "unit/log/log_model::scenario_60_random_lives",
    "snapshot: an old one is installed":
        "unit/protocol/snapshot::"
        "test_scenario_41_two_snapshots_shortly_after_one_another",
    "read index without a round":
        "paper/raft_read::"
        "test_6_4_step_3_a_replaced_leader_confirms_nothing_scenario_43",
    "log offset not checked":
        "unit/log/log_damage::scenario_46_every_misdirected_block_is_told_or_harmless",
    "fetch: a block's checksum":
        "unit/node/checkpoint_load::test_scenario_47_108_every_damaged_byte_is_refused",
    "damage: a lost end is none":
        "unit/node/damage::test_scenario_48_a_lost_end_is_known_by_the_checkpoint",
    "digest: one is enough to outvote":
        "unit/node/digests::test_scenario_49_one_of_three_is_outvoted_by_two",
    "forget: back with a free vote":
        "unit/protocol/forget::test_scenario_53_a_member_that_lost_its_disk_comes_back",
    "snapshot: what was written before counts as its slots":
        "unit/protocol/snapshot::"
        "test_scenario_54_a_log_is_replaced_while_writes_are_in_flight",
    "snapshot: without its members":
        "unit/protocol/snapshot::test_scenario_55_members_come_with_the_snapshot",
    "forget: it votes":
        "unit/protocol/forget::test_scenario_61_it_neither_votes_nor_campaigns",
    "bad records that nothing explains are forgotten":
        "unit/log/log_holes::scenario_62_what_may_be_more_than_an_entry_is_damage",
    "damage: a group's damaged checkpoint stays in its place":
        "unit/node/damage_group::"
        "test_scenario_63_a_groups_damaged_checkpoint_alone_forgets_nothing",
    "retries: what was proposed and not decided was not applied":
        "unit/node/retries::test_scenario_67_each_request_counts_once_whatever_happens",
    "wants: by an old map reads are weaker":
        "unit/node/client_wants::test_scenario_69_by_an_old_map_nothing_is_read_more_weakly",
    "session: the leader is not told what must be shown":
        "unit/node/router_session::"
        "test_scenario_70_else_the_leader_does_and_knows_what_must_be_shown_N2",
    "no CheckQuorum":
        "paper/raft_dissertation::"
        "test_6_2_a_leader_without_a_quorum_steps_down_scenario_71",
    "election restriction dropped":
        "paper/raft_log::test_5_4_1_votes_go_only_to_logs_as_up_to_date_scenario_72",
    "forget: what it had before counts for the new life":
        "unit/protocol/forget::"
        "test_scenario_75_v2_no_recovery_before_the_others_hold_the_barrier",
    "ask: the slot is the follower's own":
        "paper/raft_ask::test_R5_what_is_told_counts_when_the_entries_come_scenario_76",
    "members: voters change without a joint phase":
        "unit/protocol/members::test_scenario_77_joiners_make_no_second_majority",
    "failed write reported as done":
        "unit/log/log_fail::scenario_102_no_report_after_a_failed_operation",
    "batch checksum not checked":
        "unit/log/log_damage::scenario_104_a_tail_may_tear_anywhere",
    "a patch of another term is taken":
        "unit/log/log_damage::scenario_105_every_flipped_byte_is_told_or_harmless",
    "damage mark: its name is not durable":
        "unit/node/damage_mark::test_scenario_107_a_mark_is_durable_when_it_is_written",
    "recovery ignores the synced mark":
        "unit/log/log_damage::scenario_109_every_zeroed_sector_is_told_or_harmless",
}

# Files below src.
EVERYWHERE = [
    ("relay: what was passed on is passed on again",
     "unit/node/router::test_scenario_1_one_hop_only_T3", "node/router.c",
     "node_index leader = relayed ? NODE_NONE : leaders_of(partition); /* T3 */",
     "node_index leader = leaders_of(partition);", "node/router_relay.c",
     "relay->latest_epoch <= relay->refused_epoch || replica == NULL ||"
     " !replica_leads(replica))) {",
     "relay->latest_epoch <= relay->refused_epoch || replica == NULL)) {"),
    ("followers learn of no commit",
     "paper/raft_log::test_5_3_followers_learn_the_commit_index_scenario_2",
     "protocol/raft/append.c",
     "r->commit = max_u64(r->commit, min_u64(known, r->matched)); /* A4 */",
     "(void)known; r->commit = max_u64(r->commit, r->told);"),
    ("forget: who starts knows all of its log to be committed",
     "unit/protocol/forget::test_scenario_4_who_is_left_alone_answers_nothing",
     "protocol/raft/raft.c", "r->commit = max_u64(r->applied, r->trail.base_slot); /* T4 */",
     "r->commit = r->trail.last_slot;"),
    ("a leader does not count itself among those it hears",
     "paper/raft_dissertation::test_6_2_a_leader_with_a_bare_quorum_stays_scenario_6",
     "protocol/raft/replicate.c",
     "heard[i] = i == r->me ? (uint64_t)QR_NEVER : (uint64_t)at;", "heard[i] = (uint64_t)at;"),
    ("apply: a write whose slot was dropped for a while is refused when it comes back",
     "unit/node/apply::test_scenario_7_a_truncated_write_may_still_be_committed_D1",
     "node/apply.c", "if (p->term == term) { qr_assert(winner == NULL);",
     "if (p->term > term) { qr_assert(winner == NULL);"),
    ("stream: replies go as they come",
     "unit/node/router::test_scenario_9_replies_leave_in_stream_order_S3", "node/stream.c",
     "if (p->stream->ordered && p->stream->first != p) { reply_init(reply, p->version);",
     "if (false) { reply_init(reply, p->version);",
     "if (stream->ordered && stream->first != p) { p->state = PENDING_ANSWERED;",
     "if (false) { p->state = PENDING_ANSWERED;"),
    ("lanes: bulk and heartbeats share one",
     "unit/node/lanes::test_scenario_15_beside_bulk_a_heartbeat_has_its_own_lane",
     "node/peers.c", "data->out.n <= LINK_LIGHT_BYTES &&", ""),
    ("a truncation takes one entry too many",
     "unit/protocol/snapshot::test_scenario_16_entries_behind_a_trim_are_replaced",
     "protocol/raft/persist.c", "trail_truncate(&r->trail, lo);",
     "trail_truncate(&r->trail, lo - 1);"),
    ("who starts anew refuses what begins before its trim",
     "unit/protocol/snapshot::"
     "test_scenario_22_what_begins_before_the_trim_is_taken_after_a_restart",
     "protocol/raft/append.c", "if (m->prev_slot <= r->commit) { return true; /* A2 */",
     "if (m->prev_slot == r->commit) { return true;"),
    ("start: what was trimmed is not known",
     "unit/protocol/snapshot::test_scenario_17_a_start_behind_a_snapshot_with_an_empty_log",
     "protocol/raft/raft.c", "r->trimmed = event->start.base_slot;", "r->trimmed = 0;"),
    ("members: of a checkpoint's members the observers are forgotten",
     "unit/protocol/members::test_scenario_18_19_members_learned_from_a_checkpoint",
     "protocol/raft/members.c", "r->members = v[count - 1];",
     "r->members = v[count - 1]; r->members.members.observers = 0;"),
    ("checkpoint: what is written meanwhile is in it",
     "unit/node/checkpoint::test_scenario_30_writes_go_on_meanwhile", "store/walk.c",
     "qr_assert(table->walk_wants || slot_walk(slot) == store->walk.number);"
     " finish_slot(store, table, slot);",
     "(void)slot; (void)table;"),
    ("relay: every client's leader speaks RESP2", "e2e/commands::test_scenario_34_resp3",
     "node/router_relay.c",
     "stream_push(&relay->stream, spec, forward->version, node->clock);",
     "stream_push(&relay->stream, spec, 2, node->clock);"),
    ("a leader counts what it has not synced",
     "unit/protocol/raft::test_scenario_36_one_node_commits_on_its_own_sync",
     "protocol/raft/replicate.c",
     "match[i] = i == r->me ? r->journal.durable_slot : r->peer[i].match; /* G1 */",
     "match[i] = i == r->me ? r->trail.last_slot : r->peer[i].match;",
     "protocol/raft/raft.c", "raft_replicate_all(r, out); raft_spare_heartbeats(r); }",
     "raft_replicate_all(r, out); raft_spare_heartbeats(r); raft_advance_commit(r); }"),
    ("checkpoint: the old one goes before the new one has its place",
     "unit/node/checkpoint::test_scenario_38_a_crash_at_every_call", "node/checkpoint.c",
     "error = error != 0 ? error : take_place(cp);",
     "(void)io_unlink(cp->io, cp->path); error = error != 0 ? error : take_place(cp);"),
    ("stream: a client that left is answered",
     "unit/node/router::test_scenario_50_a_client_that_leaves_leaves_nothing_behind",
     "node/stream.c", "unlink_from_stream(p); p->stream = NULL; p->next = NULL;",
     "unlink_from_stream(p); p->next = NULL;"),
    ("scan: a pattern lets every type through",
     "unit/engine/engine_keys::test_scenario_52_filters_of_a_scan_hold_together",
     "engine/scan.c", "set_pattern(k, c->argv[i + 1]);",
     "set_pattern(k, c->argv[i + 1]); k->none = false;"),
    ("checkpoint: a full disk is a broken one",
     "unit/node/checkpoint::test_scenario_56_a_full_disk_is_survived", "node/checkpoint.c",
     "return io_wants_room(error) ? CHECKPOINT_ABANDONED : CHECKPOINT_FAILED;",
     "return error == 0 ? CHECKPOINT_ABANDONED : CHECKPOINT_FAILED;"),
    ("snapshot: a checkpoint from before an installation takes its place",
     "unit/protocol/snapshot::"
     "test_scenario_58_a_checkpoint_begun_before_an_installation_trims_nothing",
     "protocol/raft/snapshot.c", "r->checkpoint = max_u64(r->checkpoint, slot);",
     "r->checkpoint = slot;"),
    ("a refusal names the term that was asked for",
     "unit/protocol/snapshot::test_scenario_59_a_refusal_behind_an_installation",
     "protocol/raft/append.c", "reply->hint_term = trail_term(&r->trail, hint);",
     "reply->hint_term = m->prev_term;"),
    ("log: a beginning that cannot be read was never used",
     "unit/log/log_fail::scenario_103_a_start_that_cannot_read_says_so_and_cuts_nothing",
     "log/recover.c", "if (error < 0) { /* that it cannot be read does not say what it is */",
     "if (false) {"),
    ("log: one read of the marks that fails leaves a torn tail",
     "unit/log/log_fail::scenario_103_one_read_that_fails_cuts_nothing", "log/recover.c",
     "if (w->error < 0) { /* also where", "if (end == REPLAY_IO) { /* also where"),
    ("log: a segment whose size cannot be read is cut off",
     "unit/log/log_fail::scenario_103_one_read_that_fails_cuts_nothing", "log/recover.c",
     "if (size < 0) { return recover_io_failed(r, (int)size,",
     "f->bytes = 0; if (size < -9999) { return recover_io_failed(r, (int)size,"),
    ("log: a segment without batches states nothing",
     "unit/log/log_damage::a_torn_beginning_is_heard", "log/recover.c",
     "max_u64(mark, f->whole ? f->header.prev_end : 0)", "mark"),
    ("checkpoint: one that could not be read is damaged",
     "unit/node/checkpoint_load::test_scenario_103_a_disk_that_cannot_be_read",
     "node/checkpoint_place.c", "return error == -EBADMSG ||",
     "return error == -EIO || error == -EBADMSG ||"),
    ("reads: a write goes before those that wait for room",
     "unit/node/apply::"
     "test_scenario_68_a_read_held_by_back_pressure_does_not_see_a_later_write_S2",
     "node/apply.c", "replica_serve_ahead(r, p);", ""),
    ("lease: it ends a second late",
     "paper/raft_read::test_6_4_1_an_expired_lease_falls_back_to_a_round_scenario_73",
     "protocol/raft/lease.c", "start + shrink(r, r->limits.lease);",
     "start + shrink(r, r->limits.lease) + QR_SECOND;"),
    ("skew: a clock that is ahead is no other",
     "unit/protocol/raft::test_scenario_79_a_leader_whose_wall_clock_is_off_hands_over",
     "protocol/raft/skew.c", "r->peer[from].skew_ms = difference_ms(wall, r->wall);",
     "r->peer[from].skew_ms = difference_ms(wall, r->wall) < 0 ? 0 :"
     " difference_ms(wall, r->wall);"),
    ("checkpoint: its name is not synced",
     "unit/node/checkpoint::"
     "test_scenario_106_who_is_told_of_a_checkpoint_has_its_name_for_good", "node/checkpoint.c",
     "error = error != 0 ? error : checkpoint_sync_dir(cp->io, cp->dir, cp->header.group);",
     ""),
    ("resp: any number of arguments", "unit/resp/parse::test_scenario_111_lengths",
     "resp/parse.c", "if (items > COMMAND_ARGUMENTS_MAX) {", "if (false) {"),
    ("reads: who takes no replies is served on",
     "unit/node/apply::test_scenario_112_parked_reads_go_on_when_replies_are_taken_R4",
     "node/reads.c", "} else if (is_congested(p)) { /* R4 */", "} else if (false) {"),
    ("linger: for as much as anybody says",
     "unit/io/io_crowd::test_scenario_113_one_who_talks_on_is_cut_off", "io/stream.c",
     "if (n < 0 || stream->swallowed > LINGER_BYTES_MAX) {", "if (n < 0) {",
     "uv_now(&io->loop) + LINGER_TIME_MS;", "uv_now(&io->loop) + 4 * LINGER_TIME_MS;"),
    ("accept: one more than there may be", "e2e/bad_input::test_scenario_114_maxclients",
     "node/accept.c", "} else if (node->client_count >= node->config.maxclients) {",
     "} else if (node->client_count > node->config.maxclients) {"),
    ("glob: each star is tried anew",
     "unit/engine/engine_glob::test_scenario_115_many_stars_are_no_trap", "engine/glob.c",
     "star = true; retry_at = at; retry_text = text;",
     "for (size_t k = text; k < s.n; k++) { if (glob_match(span_of(pattern.p + at,"
     " pattern.n - at), span_of(s.p + k, s.n - k))) { return true; } } return false;"),
    ("floats: what is infinite is a number",
     "unit/engine/engine_strings::test_scenario_119_floats", "engine/numbers.c",
     "if (infinite || v.infinite) {", "if (infinite) {"),
    ("checkpoint: its directory is synced before it has its name",
     "unit/node/checkpoint::"
     "test_scenario_106_who_is_told_of_a_checkpoint_has_its_name_for_good", "node/checkpoint.c",
     "error = error != 0 ? error : take_place(cp);",
     "error = error != 0 ? error : checkpoint_sync_dir(cp->io, cp->dir, cp->header.group);"
     " error = error != 0 ? error : take_place(cp);",
     "error = io_failpoint(cp->io, FAIL_CHECKPOINT_RENAMED);"
     " error = error != 0 ? error : checkpoint_sync_dir(cp->io, cp->dir, cp->header.group);",
     "error = io_failpoint(cp->io, FAIL_CHECKPOINT_RENAMED);"),
    ("members: at a start the log's last change is not read",
     "unit/protocol/members::test_scenario_13_replaying_a_log_revives_nobody",
     "protocol/raft/members.c", "qr_assert(v[0].slot <= r->applied);",
     "count -= count > 2 ? 1 : 0; qr_assert(v[0].slot <= r->applied);"),
    ("what a leader has handed to its disk counts as if a crash could not take it",
     "unit/protocol/chaos::test_scenario_20_21_safety_under_chaos_and_progress_after_it",
     "protocol/raft/replicate.c",
     "match[i] = i == r->me ? r->journal.durable_slot : r->peer[i].match; /* G1 */",
     "match[i] = i == r->me ? r->trail.last_slot : r->peer[i].match;"),
    ("log: a trim that is read again is one short",
     "unit/log/log_groups::"
     "scenario_26_a_replaced_log_begins_where_it_did_before_a_restart", "log/replay.c",
     "group_trim(groups_get(&log->groups, r->group), r->slot, r->term);",
     "group_trim(groups_get(&log->groups, r->group), r->slot - (r->slot > 1), r->term);"),
    ("log: a reset that is read again is one too many",
     "unit/log/log_groups::"
     "scenario_26_a_replaced_log_begins_where_it_did_before_a_restart", "log/replay.c",
     "group_reset(groups_get(&log->groups, r->group), r->slot, r->term);",
     "group_reset(groups_get(&log->groups, r->group), r->slot + 1, r->term);"),
    ("log: of groups without entries a new segment says nothing",
     "unit/log/log_groups::"
     "scenario_40_positions_never_go_back_when_old_entries_are_dropped", "log/segments.c",
     "RECORD_TRIM, g->base_slot, g->base_term, (struct span){ 0 });",
     "RECORD_TRIM, g->base_slot == g->last_slot ? 0 : g->base_slot,"
     " g->base_slot == g->last_slot ? 0 : g->base_term, (struct span){ 0 });",
     "RECORD_LAST, g->last_slot, group_last_term(g), (struct span){ 0 });",
     "RECORD_LAST, g->base_slot == g->last_slot ? 0 : g->last_slot,"
     " g->base_slot == g->last_slot ? 0 : group_last_term(g), (struct span){ 0 });"),
    ("log: segments that are gone are not missed",
     "unit/log/log_damage::scenario_57_a_missing_segment_is_told", "log/recover.c",
     "missing = lost.run->offset == RUN_MISSING;", "missing = false;"),
    ("snapshot: whoever installs one forgets its vote",
     "unit/protocol/snapshot::test_scenario_24_the_vote_survives_an_installation_and_a_restart",
     "protocol/raft/snapshot.c", "raft_persist_state(r, out); effects_trace(out, POINT_INSTALLED,",
     "r->vote = r->vote == r->leader ? r->vote : NODE_NONE; raft_persist_state(r, out);"
     " effects_trace(out, POINT_INSTALLED,"),
    ("damage: who has lost entries may lead, and the others follow it",
     "unit/protocol/forget::test_scenario_62_a_damaged_member_deletes_nothing_at_the_others",
     "protocol/raft/raft.c",
     "if (event->start.forgetful || event->start.state_kind == RAFT_FORGETFUL_STATE) {",
     "if (false) {", "protocol/raft/elect.c",
     "if (compare_log(r, m->last_term, m->last_slot) < 0) { effects_trace(",
     "if (false) { effects_trace(", "if (m->term <= r->term || order < 0) {",
     "(void)order; if (m->term <= r->term) {"),
]
