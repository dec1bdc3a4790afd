"""The database schema as a list of steps. Only ever append: released steps stand as they are.

``PRAGMA user_version`` counts the steps a database has taken; ``store`` applies the rest.
"""

from __future__ import annotations

MIGRATIONS: tuple[str, ...] = (
    # AUTOINCREMENT: the id of a removed image must not come back under another image's name.
    """
    CREATE TABLE projects (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        created_at TEXT NOT NULL,
        updated_at TEXT NOT NULL,
        opened_at TEXT NOT NULL,
        score_threshold REAL,
        last_image_id INTEGER
    );
    CREATE TABLE runs (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        project_id TEXT NOT NULL REFERENCES projects ON DELETE CASCADE,
        created_at TEXT NOT NULL,
        checkpoint TEXT NOT NULL,
        fingerprint TEXT NOT NULL,
        prompt_ids TEXT NOT NULL
    );
    CREATE TABLE images (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        project_id TEXT NOT NULL REFERENCES projects ON DELETE CASCADE,
        position INTEGER NOT NULL,
        file_name TEXT NOT NULL,
        suffix TEXT NOT NULL,
        sha256 TEXT NOT NULL,
        width INTEGER NOT NULL,
        height INTEGER NOT NULL,
        is_reference INTEGER NOT NULL DEFAULT 0,
        is_target INTEGER NOT NULL DEFAULT 1,
        prompts_rev INTEGER NOT NULL DEFAULT 0,
        results_rev INTEGER NOT NULL DEFAULT 0,
        run_id INTEGER REFERENCES runs,
        run_key TEXT,
        UNIQUE (project_id, sha256)
    );
    CREATE TABLE categories (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        project_id TEXT NOT NULL REFERENCES projects ON DELETE CASCADE,
        name TEXT NOT NULL,
        color TEXT NOT NULL,
        supercategory TEXT NOT NULL,
        is_thing INTEGER NOT NULL,
        UNIQUE (project_id, name)
    );
    CREATE TABLE prompts (
        image_id INTEGER NOT NULL REFERENCES images ON DELETE CASCADE,
        id TEXT NOT NULL,
        position INTEGER NOT NULL,
        category_id INTEGER NOT NULL REFERENCES categories ON DELETE CASCADE,
        type TEXT NOT NULL,
        points TEXT NOT NULL,
        width REAL,
        rle TEXT,
        positive INTEGER NOT NULL,
        PRIMARY KEY (image_id, id)
    );
    CREATE INDEX prompts_by_category ON prompts (category_id);
    CREATE TABLE instances (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        image_id INTEGER NOT NULL REFERENCES images ON DELETE CASCADE,
        category_id INTEGER NOT NULL REFERENCES categories ON DELETE CASCADE,
        run_id INTEGER NOT NULL REFERENCES runs,
        size TEXT NOT NULL,
        counts TEXT NOT NULL,
        display_counts TEXT,
        box_xyxy TEXT NOT NULL,
        area INTEGER NOT NULL,
        score REAL NOT NULL,
        status TEXT NOT NULL
    );
    CREATE INDEX instances_by_image ON instances (image_id);
    CREATE INDEX instances_by_category ON instances (category_id);
    CREATE TABLE jobs (
        id TEXT PRIMARY KEY,
        project_id TEXT NOT NULL REFERENCES projects ON DELETE CASCADE,
        created_at TEXT NOT NULL,
        state TEXT NOT NULL,
        done INTEGER NOT NULL DEFAULT 0,
        total INTEGER NOT NULL,
        found INTEGER NOT NULL DEFAULT 0,
        message TEXT NOT NULL DEFAULT '',
        problems TEXT NOT NULL DEFAULT '[]'
    );
    """,
    # Runs before this step were generic. What was imported has no task.
    """
    ALTER TABLE projects ADD COLUMN refer_score_threshold REAL NOT NULL DEFAULT 0;
    ALTER TABLE projects ADD COLUMN task TEXT NOT NULL DEFAULT 'generic';
    ALTER TABLE projects ADD COLUMN in_tiles INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE runs ADD COLUMN task TEXT;
    ALTER TABLE runs ADD COLUMN in_tiles INTEGER NOT NULL DEFAULT 0;
    UPDATE runs SET task = 'generic' WHERE checkpoint <> 'imported';
    """,
    # A job that was under way cannot go on: before this step its parameters were not kept.
    """
    ALTER TABLE jobs ADD COLUMN kind TEXT NOT NULL DEFAULT 'segment';
    ALTER TABLE jobs ADD COLUMN parameters TEXT NOT NULL DEFAULT '{}';
    ALTER TABLE jobs ADD COLUMN title TEXT NOT NULL DEFAULT 'Segment';
    ALTER TABLE jobs ADD COLUMN lane TEXT NOT NULL DEFAULT 'batch';
    ALTER TABLE jobs ADD COLUMN attempts INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE jobs ADD COLUMN result TEXT;
    ALTER TABLE jobs ADD COLUMN ended_at TEXT;
    ALTER TABLE jobs ADD COLUMN is_put_away INTEGER NOT NULL DEFAULT 0;
    UPDATE jobs SET state = 'failed', message = 'Interrupted. What was done is kept.'
        WHERE state IN ('queued', 'running');
    UPDATE jobs SET ended_at = created_at;
    CREATE INDEX jobs_by_state ON jobs (state);
    """,
    # Beside the table of prompts, whose rows are written anew with every edit on the canvas.
    """
    CREATE TABLE unused_prompts (
        image_id INTEGER NOT NULL REFERENCES images ON DELETE CASCADE,
        prompt_id TEXT NOT NULL,
        PRIMARY KEY (image_id, prompt_id)
    );
    CREATE TABLE example_scores (
        image_id INTEGER NOT NULL REFERENCES images ON DELETE CASCADE,
        prompt_id TEXT NOT NULL,
        score REAL,
        made_from TEXT NOT NULL,
        fingerprint TEXT NOT NULL,
        PRIMARY KEY (image_id, prompt_id)
    );
    """,
    # A project without an owner was made where there are no accounts. The id of a session is the
    # hash of its token, its credential that of the password it was begun with.
    """
    ALTER TABLE projects ADD COLUMN owner TEXT;
    ALTER TABLE projects ADD COLUMN is_shared INTEGER NOT NULL DEFAULT 0;
    CREATE TABLE sessions (
        id TEXT PRIMARY KEY,
        user TEXT NOT NULL,
        credential TEXT NOT NULL,
        expires_at REAL NOT NULL
    );
    """,
    # Runs before this step know the first part of it only, in their fingerprint.
    """
    ALTER TABLE runs ADD COLUMN checkpoint_sha256 TEXT NOT NULL DEFAULT '';
    """,
    # What a review has accepted is kept by id, so that the review can be taken back.
    """
    ALTER TABLE images ADD COLUMN reviewed_at TEXT;
    ALTER TABLE images ADD COLUMN review_accepted TEXT NOT NULL DEFAULT '[]';
    ALTER TABLE categories ADD COLUMN score_threshold REAL;
    """,
    """
    CREATE TABLE concepts (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        category_id INTEGER NOT NULL REFERENCES categories ON DELETE CASCADE,
        file_name TEXT NOT NULL,
        file_sha256 TEXT NOT NULL,
        file_category_id INTEGER NOT NULL,
        fingerprint TEXT NOT NULL,
        positives INTEGER NOT NULL,
        negatives INTEGER NOT NULL,
        is_used INTEGER NOT NULL DEFAULT 1,
        UNIQUE (category_id, file_sha256, file_category_id)
    );
    """,
    # How instances came about, and one history of each image's prompts and instances.
    """
    ALTER TABLE instances ADD COLUMN origin TEXT NOT NULL DEFAULT 'found';
    ALTER TABLE instances ADD COLUMN z_order INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE instances ADD COLUMN rev INTEGER NOT NULL DEFAULT 0;
    UPDATE instances SET origin = 'imported'
        WHERE run_id IN (SELECT id FROM runs WHERE checkpoint = 'imported');
    CREATE TABLE edits (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        image_id INTEGER NOT NULL REFERENCES images ON DELETE CASCADE,
        created_at TEXT NOT NULL,
        title TEXT NOT NULL,
        merge_key TEXT,
        bulk_id TEXT,
        before TEXT NOT NULL,
        after TEXT NOT NULL,
        is_undone INTEGER NOT NULL DEFAULT 0
    );
    CREATE INDEX edits_by_image ON edits (image_id, id);
    CREATE INDEX edits_by_bulk ON edits (bulk_id);
    """,
    # A project in the trash gives its name free; "deleted_name" is what it had.
    """
    ALTER TABLE projects ADD COLUMN deleted_at TEXT;
    ALTER TABLE projects ADD COLUMN deleted_name TEXT;
    ALTER TABLE images ADD COLUMN seconds_spent REAL NOT NULL DEFAULT 0;
    CREATE INDEX images_by_project ON images (project_id, position);
    CREATE INDEX jobs_by_project ON jobs (project_id);
    CREATE INDEX runs_by_project ON runs (project_id);
    CREATE TRIGGER image_changed AFTER UPDATE OF prompts_rev, results_rev ON images BEGIN
        UPDATE projects SET updated_at = strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now')
            WHERE id = NEW.project_id;
    END;
    CREATE TRIGGER image_added AFTER INSERT ON images BEGIN
        UPDATE projects SET updated_at = strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now')
            WHERE id = NEW.project_id;
    END;
    """,
    # The id of a track must not come back either. Which instances are on one is known by their run.
    """
    CREATE TABLE sequences (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        project_id TEXT NOT NULL REFERENCES projects ON DELETE CASCADE,
        name TEXT NOT NULL
    );
    CREATE TABLE frames (
        image_id INTEGER PRIMARY KEY REFERENCES images ON DELETE CASCADE,
        sequence_id INTEGER NOT NULL REFERENCES sequences ON DELETE CASCADE,
        position INTEGER NOT NULL
    );
    CREATE INDEX frames_by_sequence ON frames (sequence_id);
    CREATE TABLE tracks (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        sequence_id INTEGER NOT NULL REFERENCES sequences ON DELETE CASCADE,
        category_id INTEGER NOT NULL REFERENCES categories ON DELETE CASCADE,
        UNIQUE (sequence_id, category_id)
    );
    CREATE TABLE track_runs (
        run_id INTEGER PRIMARY KEY REFERENCES runs ON DELETE CASCADE,
        sequence_id INTEGER NOT NULL REFERENCES sequences ON DELETE CASCADE
    );
    """,
    # What was chosen on the page for the server, as JSON; and which masks a project takes for one.
    """
    CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);
    ALTER TABLE projects ADD COLUMN overlap_threshold REAL;
    """,
)
