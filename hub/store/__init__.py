"""PostgreSQL: tables, migrations, and the queries each stage needs.

One way to talk to the database: plain SQL on asyncpg, in functions named for what they do. Alembic
(on SQLAlchemy) applies the migrations.
"""
